// A search playground.
import type { CollectionJson } from "bebr/v1/collections_pb";
import type { SearchOptionsJson, SearchResponseJson } from "bebr/v1/search_pb";
import { useEffect, useState } from "preact/hooks";
import { call } from "../api";
import { count, shell } from "../format";
import { Empty, Failure, Field } from "../parts/basic";
import { FilterInput } from "../parts/filter_input";
import { useTask } from "../parts/hooks";
import { attributesOf, embeddingOf, sampleDocuments, storesFloats, versionOf, type Attribute } from "../sample";
import { parseVector, randomVector } from "../vectors";
import { Results } from "./results";

type By = "id" | "vector" | "random";

interface Form { by: By; id: string; vector: string; k: string; version: string; rerank: string; minScore: string; filter: string; firstLevels: string; probe: string; groupBy: string; groupSize: string; explain: boolean }

async function queryOf(form: Form, collection: CollectionJson, signal: AbortSignal): Promise<number[]> {
  const version = versionOf(collection, form.version);
  if (!version) throw new Error(`There is no version ${form.version} any more; choose another.`);
  const dims = version.inputDims ?? 0;
  if (form.by === "vector") return parseVector(form.vector, dims);
  if (form.by === "random") return randomVector(dims);
  const answer = await call("DocumentService/Get", { collection: collection.name ?? "", ids: [form.id], withEmbeddings: true }, signal);
  const document = answer.documents?.[0];
  if (!document) throw new Error(`There is no document "${form.id}" in ${collection.name}. Ids are matched whole, with upper and lower case.`);
  const values = embeddingOf(document, version);
  if (!values) throw new Error(`"${form.id}" has no stored floats of ${version.name}. Paste a vector, or choose another version.`);
  return values;
}

function optionsOf(form: Form): SearchOptionsJson {
  const options: SearchOptionsJson = { k: Number(form.k), version: form.version, filter: form.filter.trim(), withAttributes: true, explain: form.explain };
  if (form.rerank !== "") options.rerank = Number(form.rerank);
  if (form.minScore !== "") options.minScore = Number(form.minScore);
  if (form.firstLevels !== "") options.firstLevels = Number(form.firstLevels);
  if (form.probe !== "") options.probe = Number(form.probe) / 100;
  if (form.groupBy !== "") Object.assign(options, { groupBy: form.groupBy, groupSize: Number(form.groupSize) });
  return options;
}

export interface Found { answer: SearchResponseJson; roundTripMs: number; k: number; filtered: boolean }

async function search(form: Form, collection: CollectionJson, signal: AbortSignal): Promise<Found> {
  const values = await queryOf(form, collection, signal);
  const start = performance.now();
  const answer = await call("SearchService/Search", { collection: collection.name ?? "", query: { values }, options: optionsOf(form) }, signal);
  return { answer, roundTripMs: performance.now() - start, k: Number(form.k), filtered: form.filter.trim() !== "" };
}

const kBy: [By, string][] = [["id", "A document's id"], ["vector", "A vector"], ["random", "A random vector"]];

function QueryFields({ form, set, dims, floats }: { form: Form; set: (part: Partial<Form>) => void; dims: number; floats: boolean }) {
  return (
    <>
      <fieldset>
        <legend>Search by</legend>
        {kBy.map(([by, text]) => (
          <label key={by}><input type="radio" name="by" checked={form.by === by} onChange={() => set({ by })} /> {text}</label>
        ))}
      </fieldset>
      {form.by === "id" && (
        <Field id="query-id" label="Id" hint={floats ? "Its stored floats are the query." : "This collection stores no floats: paste a vector instead."}>
          <input id="query-id" type="text" required spellcheck={false} aria-describedby="query-id-hint" value={form.id} onInput={(event) => set({ id: event.currentTarget.value })} />
        </Field>
      )}
      {form.by === "vector" && (
        <Field id="query-vector" label="Vector" hint={`${dims} numbers, as JSON or with commas between.`}>
          <textarea id="query-vector" rows={4} required spellcheck={false} aria-describedby="query-vector-hint" value={form.vector} onInput={(event) => set({ vector: event.currentTarget.value })} />
        </Field>
      )}
    </>
  );
}

interface OptionProps { form: Form; set: (part: Partial<Form>) => void; collection: CollectionJson; attributes: readonly Attribute[] }

function OptionFields({ form, set, collection, attributes }: OptionProps) {
  const versions = collection.versions?.filter((version) => version.state !== "VERSION_STATE_RETIRED") ?? [];
  const numeric = (id: string, label: string, part: Exclude<keyof Form, "explain">, limits: Record<string, string | number | boolean>, hint?: string) => (
    <Field id={id} label={label} {...(hint ? { hint } : {})}>
      <input id={id} type="number" {...limits} {...(hint ? { "aria-describedby": `${id}-hint` } : {})} value={form[part]}
        onInput={(event) => set({ [part]: event.currentTarget.value })} />
    </Field>
  );
  return (
    <div class="row options">
      {numeric("k", form.groupBy ? "Groups" : "Results", "k", { min: 1, max: 10000, required: true })}
      <Field id="group-by" label="Group by">
        <select id="group-by" value={form.groupBy} onChange={(event) => set({ groupBy: event.currentTarget.value })}>
          <option value="">nothing</option>
          {attributes.filter((one) => one.literals.length > 0).map(({ name }) => <option key={name} value={name}>{name}</option>)}
        </select>
      </Field>
      {form.groupBy && numeric("group-size", "Best of each group", "groupSize", { min: 1, max: 100, required: true })}
      {numeric("rerank", "Rerank", "rerank", { min: 0, max: 10000, disabled: !storesFloats(collection) },
        storesFloats(collection) ? "Empty: as the collection says" : "Needs stored floats")}
      {numeric("min-score", "Least score", "minScore", { step: "any" })}
      {numeric("first-levels", "First levels", "firstLevels", { min: 0, max: 4 }, "Empty: all at once")}
      {numeric("probe", "Probe, %", "probe", { min: 0, max: 100, step: "any" }, "Of the documents, the nearest groups; empty: all")}
      <Field id="version" label="Version">
        <select id="version" value={form.version} onChange={(event) => set({ version: event.currentTarget.value })}>
          <option value="">{collection.defaultVersion} (default)</option>
          {versions.filter((version) => version.name !== collection.defaultVersion).map((version) => <option key={version.name} value={version.name}>{version.name}</option>)}
        </select>
      </Field>
    </div>
  );
}

export function SearchView({ collection, id }: { collection: CollectionJson; id: string }) {
  const floats = storesFloats(collection);
  const [form, setForm] = useState<Form>({
    by: floats ? "id" : "random", id, vector: "", k: "10", version: "", rerank: "", minScore: "", filter: "", firstLevels: "", probe: "", groupBy: "", groupSize: "3", explain: false,
  });
  const set = (part: Partial<Form>) => setForm((before) => ({ ...before, ...part }));
  const found = useTask<Found>();
  const sampled = useTask<Attribute[]>();
  const name = collection.name ?? "";
  useEffect(() => sampled.run(async (signal) => attributesOf(await sampleDocuments(collection, signal))), [name]);
  useEffect(() => { if (id) { set({ id, by: "id" }); found.run((signal) => search({ ...form, id, by: "id" }, collection, signal)); } }, [id]);
  const attributes = sampled.result ?? [];
  const submit = (event: Event) => {
    event.preventDefault();
    found.run((signal) => search(form, collection, signal));
  };
  if (Number(collection.documents ?? 0) === 0) {
    return <Empty commands={[`bebr import ${shell(name)} docs.npy`]}>There is nothing to find: {name} holds no documents yet. Fill it:</Empty>;
  }
  return (
    <>
      <form onSubmit={submit} class="stack" aria-label="Search">
        <QueryFields form={form} set={set} dims={versionOf(collection, form.version)?.inputDims ?? 0} floats={floats} />
        <Field id="filter" label="Filter" hint={sampled.running ? "Looking which attributes there are …"
          : attributes.length > 0 ? `Attributes of a sample: ${attributes.map((one) => one.name).join(", ")}` : "No document of a sample has attributes."}>
          <FilterInput id="filter" value={form.filter} attributes={attributes} set={(filter) => set({ filter })} />
        </Field>
        <OptionFields form={form} set={set} collection={collection} attributes={attributes} />
        <label><input type="checkbox" checked={form.explain} onChange={(event) => set({ explain: event.currentTarget.checked })} /> Explain the scores</label>
        <p class="buttons"><button class="primary" type="submit">Search</button></p>
      </form>
      <p role="status">{found.running ? "Searching …" : found.result && `${count(found.result.answer.hits?.length)} hits among ${count(found.result.answer.documentsScanned)} documents.`}</p>
      {found.result?.answer.warnings?.map((text) => <p key={text} role="alert" class="next">{text}</p>)}
      <Failure error={found.error} />
      {found.result && <Results found={found.result} collection={name} more={(next) => { location.hash = `#/collections/${encodeURIComponent(name)}/search?id=${encodeURIComponent(next)}`; }} floats={floats} />}
    </>
  );
}
