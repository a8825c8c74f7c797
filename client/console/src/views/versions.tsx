// The versions of a collection, and the steps of an upgrade from one to the next.
import type { CollectionJson, VersionJson } from "bebr/v1/collections_pb";
import { useState } from "preact/hooks";
import { call } from "../api";
import { count, number, percent, shell } from "../format";
import { refresh } from "../live";
import { Commands, Empty, Failure } from "../parts/basic";
import { Confirm } from "../parts/confirm";
import { useKeys, useTask } from "../parts/hooks";
import { VersionCard } from "./version_card";

export type Action = "check" | "backfill" | "stop" | "promote" | "retire";

interface Question { action: "promote" | "retire" | "rollback"; version: VersionJson }

// Does what a button says, and says how it went.
async function act(action: Action, collection: CollectionJson, version: string, limit: string): Promise<string> {
  const name = collection.name ?? "";
  switch (action) {
    case "check": {
      const { check } = await call("CollectionService/CheckVersion", { collection: name, version });
      return `Checked ${version}: recall ${percent(Number(check?.recall ?? 0))}, overlap with ${check?.against} ${percent(Number(check?.overlap ?? 0))}.`;
    }
    case "backfill":
      await call("CollectionService/BackfillVersion", { collection: name, version, documentsPerS: limit || "0" });
      return `The backfill of ${version} runs.`;
    case "stop":
      await call("CollectionService/BackfillVersion", { collection: name, version, stop: true });
      return `The backfill of ${version} is stopped; what it wrote stays.`;
    case "promote":
      // What this page shows must still be so: two operators cannot cross.
      await call("CollectionService/PromoteVersion", { collection: name, version, expectedDefault: collection.defaultVersion ?? "" });
      return `${version} is the default now. ${collection.defaultVersion} can be gone back to until it is retired.`;
    case "retire":
      await call("CollectionService/RetireVersion", { collection: name, version });
      return `${version} is retired.`;
  }
}

// What an upgrade needs next, in a sentence.
function nextStep(collection: CollectionJson, live: VersionJson[]): string {
  const now = live.find((version) => version.name === collection.defaultVersion);
  const next = live.filter((version) => version !== now && version.name !== collection.previousDefault).at(-1);
  const old = live.find((version) => version.name === collection.previousDefault);
  if (next) {
    if (next.backfill?.running) return `${next.name} is being filled. Wait for its end, then check it.`;
    if (next.state === "VERSION_STATE_ADDED") {
      return number(next.embeddings) === 0
        ? `${next.name} has no embeddings yet: write them with bebr import, or, where it takes those of another version, backfill it.`
        : `${next.name} has codes for ${count(next.documents)} of ${count(collection.documents)} documents: backfill it, or promote it if it shares the space of ${now?.name}.`;
    }
    if (!next.check) return `${next.name} is ready. Check it against ${now?.name}.`;
    return `${next.name} is checked. Promote it if its recall and overlap are what you want.`;
  }
  if (old) return `${now?.name} is the default. Roll back to ${old.name} if something is wrong; retire ${old.name} when nothing is.`;
  return "No upgrade is going on.";
}

function questionText({ action, version }: Question, collection: CollectionJson) {
  const from = collection.defaultVersion;
  if (action === "retire") {
    return <p>Its floats go, unless another version takes them, and its codes if no other version shares their space. That cannot be undone: going back to it would mean adding and filling it again.</p>;
  }
  const coded = number(collection.documents) > 0 ? number(version.documents) / number(collection.documents) : 0;
  return (
    <>
      <p>Queries that name no version are taken as embeddings of {version.name} from now on, for all clients at once. They must send those by then. {from} stays, and can be gone back to.</p>
      <p>{version.name} wrote the codes of {percent(Math.min(coded, 1))} of the documents.
        {version.check ? ` The last check found recall ${percent(Number(version.check.recall ?? 0))}, ${version.check.against} ${percent(Number(version.check.againstRecall ?? 0))}.` : " It has not been checked."}</p>
    </>
  );
}

export function VersionsView({ collection }: { collection: CollectionJson }) {
  const keys = useKeys();
  const task = useTask<string>();
  const [question, setQuestion] = useState<Question>();
  const [doing, setDoing] = useState("");
  const name = collection.name ?? "";
  const live = collection.versions?.filter((version) => version.state !== "VERSION_STATE_RETIRED") ?? [];
  const retired = collection.versions?.filter((version) => version.state === "VERSION_STATE_RETIRED") ?? [];
  const fresh = `v${(collection.versions?.length ?? 0) + 1}`;
  const previous = live.find((version) => version.name === collection.previousDefault);
  const run = (action: Action, version: string, limit = "") => {
    setDoing(action === "check" ? `Checking ${version}: seconds to minutes …` : "The server is at it …");
    task.run(async () => {
      try { return await act(action, collection, version, limit); } finally { await refresh(); }
    });
  };
  const answer = (agreed: boolean) => {
    if (agreed && question) run(question.action === "retire" ? "retire" : "promote", question.version.name ?? "");
    setQuestion(undefined);
  };
  const titles = { promote: "Promote", rollback: "Roll back to", retire: "Retire" };
  return (
    <>
      <p class="next"><strong>Next: </strong>{nextStep(collection, live)}</p>
      <p role="status" class="told">{task.running ? doing : task.result}</p>
      <Failure error={task.error} />
      {!keys.mayChange && <p>Buttons that change something appear when a key for changes is typed in under <a href="#/keys">Keys</a>.</p>}
      {previous && keys.mayChange && (
        <p><button disabled={task.running} onClick={() => setQuestion({ action: "rollback", version: previous })}>Roll back to {previous.name}</button></p>
      )}
      {live.map((version) => (
        <VersionCard key={version.name} collection={collection} version={version} mayChange={keys.mayChange} busy={task.running}
          act={(action, limit) => (action === "promote" || action === "retire" ? setQuestion({ action, version }) : run(action, version.name ?? "", limit))} />
      ))}
      {live.length < 2 && (
        <Empty commands={[`bebr version add ${shell(name)} ${fresh} --model new.safetensors`, `bebr import ${shell(name)} new.npy --ids ids.txt --version ${fresh} --merge`]}>
          To upgrade to another embedding model, add a version; the old one serves on:
        </Empty>
      )}
      {retired.length > 0 && <p class="quiet">Retired: {retired.map((version) => version.name).join(", ")}</p>}
      {live.length >= 2 && <details><summary>The same on the command line</summary>
        <Commands label="Commands of an upgrade" lines={["check", "promote", "rollback", "retire"].map((verb) =>
          `bebr version ${verb} ${shell(name)}${verb === "rollback" ? "" : ` ${live.at(-1)?.name}`}`)} /></details>}
      {question && (
        <Confirm title={`${titles[question.action]} ${question.version.name}?`} yes={`${titles[question.action]} ${question.version.name}`}
          danger={question.action === "retire"} answer={answer}>
          {questionText(question, collection)}
        </Confirm>
      )}
    </>
  );
}
