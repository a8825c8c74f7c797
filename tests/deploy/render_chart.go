// render_chart renders the chart as `helm template` does, with what Helm itself is made of and Debian has: Go's
// text/template, Sprig's functions and the YAML library of Kubernetes. Helm is not in Debian.
//
//	render_chart [-f VALUES.yaml] [-set PATH=VALUE]... CHART RELEASE NAMESPACE     the manifests, in Helm's order
//	render_chart -values ...                                                      the merged values, as JSON
//
// It knows what this chart uses: no dependencies, hooks, tests or look-ups in a cluster. Values are not checked against
// the schema: check_chart does so.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type table = map[string]interface{}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "render_chart: "+err.Error())
		os.Exit(1)
	}
}

func readYAML(path string) table {
	data, err := os.ReadFile(path)
	check(err)
	out := table{}
	check(yaml.Unmarshal(data, &out))
	return out
}

// merge lays `over` onto `base`: tables key by key, null takes a key away.
func merge(base, over table) {
	for key, value := range over {
		inner, isTable := value.(table)
		if below, ok := base[key].(table); isTable && ok {
			merge(below, inner)
		} else if value == nil {
			delete(base, key)
		} else {
			base[key] = value
		}
	}
}

// set is --set of one PATH=VALUE, without lists.
func set(values table, assignment string) {
	path, text, found := strings.Cut(assignment, "=")
	if !found {
		check(fmt.Errorf("-set %s is not PATH=VALUE", assignment))
	}
	keys := strings.Split(path, ".")
	for _, key := range keys[:len(keys)-1] {
		if _, ok := values[key].(table); !ok {
			values[key] = table{}
		}
		values = values[key].(table)
	}
	var value interface{} = text
	if number, err := strconv.ParseInt(text, 10, 64); err == nil {
		value = float64(number)
	} else if text == "true" || text == "false" {
		value = text == "true"
	}
	values[keys[len(keys)-1]] = value
}

// files is .Files of a template.
type files struct{ chart string }

func (f files) Get(name string) string {
	data, err := os.ReadFile(filepath.Join(f.chart, name))
	if err != nil {
		return ""
	}
	return string(data)
}

func toYAML(value interface{}) string {
	data, err := yaml.Marshal(value)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}

func functions(all *template.Template) template.FuncMap {
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["toYaml"] = toYAML
	functions["fromYaml"] = func(text string) table {
		out := table{}
		if err := yaml.Unmarshal([]byte(text), &out); err != nil {
			out["Error"] = err.Error()
		}
		return out
	}
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out strings.Builder
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return value, fmt.Errorf("%s", message)
		}
		return value, nil
	}
	return functions
}

// The order in which Helm installs kinds; others come after them, by name.
var order = []string{"Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodSecurityPolicy", "PodDisruptionBudget",
	"ServiceAccount", "Secret", "SecretList", "ConfigMap", "StorageClass", "PersistentVolume", "PersistentVolumeClaim",
	"CustomResourceDefinition", "ClusterRole", "ClusterRoleList", "ClusterRoleBinding", "ClusterRoleBindingList", "Role",
	"RoleList", "RoleBinding", "RoleBindingList", "Service", "DaemonSet", "Pod", "ReplicationController", "ReplicaSet",
	"Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob", "IngressClass", "Ingress", "APIService"}

type manifest struct{ source, kind, text string }

func rank(kind string) int {
	for i, known := range order {
		if known == kind {
			return i
		}
	}
	return len(order)
}

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// render gives the manifests of the chart's templates.
func render(chart, release, namespace string, values table) []manifest {
	about := readYAML(filepath.Join(chart, "Chart.yaml"))
	name := about["name"].(string)
	paths, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	check(err)
	sort.Strings(paths)
	all := template.New(name).Option("missingkey=zero")
	all.Funcs(functions(all))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		check(err)
		_, err = all.New(name + "/templates/" + filepath.Base(path)).Parse(string(text))
		check(err)
	}
	var manifests []manifest
	for _, path := range paths {
		source := name + "/templates/" + filepath.Base(path)
		data := table{
			"Values":       values,
			"Release":      table{"Name": release, "Namespace": namespace, "Service": "Helm", "IsInstall": true, "Revision": 1},
			"Chart":        table{"Name": name, "Version": about["version"], "AppVersion": about["appVersion"]},
			"Template":     table{"Name": source, "BasePath": name + "/templates"},
			"Files":        files{chart},
			"Capabilities": table{"KubeVersion": table{"Version": "v1.27.0", "Major": "1", "Minor": "27"}},
		}
		var out strings.Builder
		check(all.ExecuteTemplate(&out, source, data))
		if !strings.HasSuffix(path, ".yaml") {
			continue
		}
		for _, text := range separator.Split(strings.ReplaceAll(out.String(), "<no value>", ""), -1) {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			parsed := table{}
			if err := yaml.UnmarshalStrict([]byte(text), &parsed); err != nil {
				check(fmt.Errorf("%s is no YAML: %w\n%s", source, err, text))
			}
			kind, _ := parsed["kind"].(string)
			if kind != "" {
				manifests = append(manifests, manifest{source, kind, text})
			}
		}
	}
	sort.SliceStable(manifests, func(i, j int) bool {
		a, b := rank(manifests[i].kind), rank(manifests[j].kind)
		return a < b || (a == b && a == len(order) && manifests[i].kind < manifests[j].kind)
	})
	return manifests
}

type list []string

func (l *list) String() string         { return strings.Join(*l, " ") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

func main() {
	var files, sets list
	flag.Var(&files, "f", "values file")
	flag.Var(&sets, "set", "PATH=VALUE")
	only := flag.Bool("values", false, "print the merged values")
	flag.Parse()
	if flag.NArg() != 3 {
		check(fmt.Errorf("CHART RELEASE NAMESPACE are wanted"))
	}
	values := readYAML(filepath.Join(flag.Arg(0), "values.yaml"))
	for _, file := range files {
		merge(values, readYAML(file))
	}
	for _, assignment := range sets {
		set(values, assignment)
	}
	if *only {
		check(json.NewEncoder(os.Stdout).Encode(values))
		return
	}
	for _, m := range render(flag.Arg(0), flag.Arg(1), flag.Arg(2), values) {
		fmt.Printf("---\n# Source: %s\n%s\n", m.source, m.text)
	}
}
