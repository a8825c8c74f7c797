// What a collection takes, beside what the formula says it should.
import type { MemoryUseJson } from "bebr/v1/collections_pb";
import type { CollectionJson } from "bebr/v1/collections_pb";
import { useEffect, useState } from "preact/hooks";
import { call } from "../api";
import { bytes, count, enumName, number, percent, shell, time } from "../format";
import { Empty, Facts, Failure, Field, Table } from "../parts/basic";
import { useTask } from "../parts/hooks";
import { sampleDocuments } from "../sample";

interface Formula { idBytes: number; memory: MemoryUseJson }
const kEncoder = new TextEncoder();

async function formulaOf(collection: CollectionJson, signal: AbortSignal): Promise<Formula> {
  const ids = (await sampleDocuments(collection, signal)).map((one) => kEncoder.encode(one.id).length);
  const idBytes = ids.length > 0 ? ids.reduce((sum, length) => sum + length, 0) / ids.length : 16;
  const answer = await call("AdminService/EstimateMemory", {
    collection: collection.name ?? "", documents: String(collection.documents ?? 0), idBytes,
  }, signal);
  return { idBytes, memory: answer.memory ?? {} };
}

function Comparison({ held, formula }: { held: MemoryUseJson; formula: Formula }) {
  const parts: [string, keyof MemoryUseJson][] = [["Codes", "codes"], ["Ids", "ids"], ["Attributes", "attributes"], ["Models", "models"]];
  const row = (name: string, has: number, says: number) => (
    <tr key={name}>
      <th scope="row">{name}</th>
      <td class="number">{bytes(has)}</td>
      <td class="number">{bytes(says)}</td>
      <td class="number">{says > 0 ? `${has >= says ? "+" : "−"}${percent(Math.abs(has / says - 1))}` : ""}</td>
    </tr>
  );
  return (
    <>
      <Table caption="Memory against the formula" head={["Part", "#Held", "#Formula", "#Difference"]}>
        {parts.map(([name, part]) => row(name, number(held[part]), number(formula.memory[part])))}
        {row("Total", number(held.total), number(formula.memory.total))}
      </Table>
      <p class="quiet">For ids of {formula.idBytes.toFixed(1)} bytes, the mean of a sample, and attributes as documents have them now.</p>
    </>
  );
}

function WhatIf({ name, idBytes }: { name: string; idBytes: number }) {
  const [documents, setDocuments] = useState("1000000");
  const task = useTask<{ documents: string; memory: MemoryUseJson }>();
  const ask = (event: Event) => {
    event.preventDefault();
    task.run(async (signal) => {
      const answer = await call("AdminService/EstimateMemory", { collection: name, documents, idBytes }, signal);
      return { documents, memory: answer.memory ?? {} };
    });
  };
  return (
    <form onSubmit={ask} class="row">
      <Field id="what-if" label="What would so many documents take?">
        <input id="what-if" type="number" min="1" max={2 ** 40} required value={documents}
          onInput={(event) => setDocuments(event.currentTarget.value)} />
      </Field>
      <button type="submit">Estimate</button>
      <p role="status">{task.result && `${count(task.result.documents)} documents: ${bytes(task.result.memory.total)}, with attributes as documents have them now.`}</p>
      <Failure error={task.error} />
    </form>
  );
}

export function MemoryView({ collection }: { collection: CollectionJson }) {
  const task = useTask<Formula>();
  const { run } = task;
  const name = collection.name ?? "", documents = number(collection.documents);
  // Again when it has grown or shrunk by a hundredth.
  const size = documents > 0 ? Math.round(Math.log(documents) * 100) : 0;
  useEffect(() => run((signal) => formulaOf(collection, signal)), [name, size, collection.defaultVersion]);
  const auto = collection.autoStatus;
  return (
    <>
      <Facts rows={[
        ["Documents", count(documents)],
        ["Default version", collection.defaultVersion],
        ["Floats kept as", enumName(collection.storeFloats, "FLOAT_STORAGE") || "none"],
        ["Shards", String(collection.shards ?? "")],
        ["On disk", bytes(collection.diskBytes)],
        ["Created", time(collection.createdUnixUs)],
        ["Deleted rows not yet reclaimed", count(collection.deletedRows)],
        ["Rerank unless a search says", collection.defaultRerank ? count(collection.defaultRerank) : "none"],
      ]} />
      {documents === 0 && <Empty commands={[`bebr import ${shell(name)} docs.npy`]}>It holds no documents yet. Fill it:</Empty>}
      <h2>Memory</h2>
      {task.result ? <Comparison held={collection.memory ?? {}} formula={task.result} /> : task.running && <p role="status">Asking the server …</p>}
      <Failure error={task.error} />
      <WhatIf name={name} idBytes={task.result?.idBytes ?? 16} />
      {auto && (
        <>
          <h2>Binarizers made by the server</h2>
          <Facts rows={[
            ["State", enumName(auto.state, "AUTO_STATE")],
            ["Recall@10 of the codes", auto.recall ? Number(auto.recall).toFixed(3) : "not measured"],
            ["Fitted to", auto.fittedDocuments ? `${count(auto.fittedDocuments)} documents` : "nothing yet"],
            ["Next fit at", auto.nextFitDocuments ? `${count(auto.nextFitDocuments)} documents` : ""],
          ]} />
          <ul>{auto.events?.map((event, i) => <li key={i}>{time(event.unixUs)}: {event.text}</li>)}</ul>
          {auto.error && <p class="failure">The last attempt failed: {auto.error} It is tried again.</p>}
        </>
      )}
    </>
  );
}
