{{- define "bebr.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "bebr.selector" -}}
app.kubernetes.io/name: bebr
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bebr.labels" -}}
{{ include "bebr.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- /* kubelet's gRPC probes speak no TLS; then HTTP asks the same question. */ -}}
{{- define "bebr.readyProbe" -}}
{{- if .Values.tls.secretName -}}
httpGet: {path: /readyz, port: metrics}
{{- else -}}
grpc: {port: 7700}
{{- end -}}
{{- end -}}
