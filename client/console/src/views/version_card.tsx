// One version: what it is, how far it has come, and its buttons.
import type { CollectionJson, VersionJson } from "bebr/v1/collections_pb";
import { useState } from "preact/hooks";
import { count, enumName, number, percent, rate, time } from "../format";
import { Facts, Field } from "../parts/basic";
import type { Action } from "./versions";

function Progress({ version, collection }: { version: VersionJson; collection: CollectionJson }) {
  const all = Math.max(number(collection.documents), 1), coded = Math.min(number(version.documents), all);
  const backfill = version.backfill;
  const left = backfill?.documentsPerS ? (number(version.embeddings) - number(version.documents)) / Number(backfill.documentsPerS) : 0;
  const label = `${version.name}: documents whose code it wrote`;
  return (
    <div class="progress">
      <progress max={all} value={coded} aria-label={label} />
      <span>{count(version.documents)} of {count(collection.documents)} documents have its code ({percent(coded / all)})</span>
      {backfill?.running && (
        <span> - filling, {rate(Number(backfill.documentsPerS ?? 0))} a second
          {number(backfill.limitDocumentsPerS) > 0 && ` (limit ${count(backfill.limitDocumentsPerS)})`}
          {left > 1 && `, ${Math.ceil(left)} s left`}</span>
      )}
      {backfill?.error && <p class="failure">The backfill ended early: {backfill.error} Mend that, then start it again.</p>}
    </div>
  );
}

function Measured({ version }: { version: VersionJson }) {
  const { check, recall } = version;
  return (
    <>
      {check && (
        <p>Checked {time(check.checkedUnixUs)} with {check.queries} queries, k {check.k}: recall <strong>{percent(Number(check.recall ?? 0))}</strong>,
          {" "}{check.against} {percent(Number(check.againstRecall ?? 0))}; <strong>{percent(Number(check.overlap ?? 0))}</strong> of {check.against}'s answers are among its own.</p>
      )}
      {recall && <p>Monitored {time(recall.measuredUnixUs)}: recall@{recall.k} <strong>{percent(Number(recall.recall ?? 0))}</strong> of the codes, {recall.queries} queries.</p>}
    </>
  );
}

interface Props {
  collection: CollectionJson;
  version: VersionJson;
  mayChange: boolean;
  busy: boolean;
  act: (action: Action, limit?: string) => void;
}

function Buttons({ collection, version, busy, act }: Props) {
  const [limit, setLimit] = useState("");
  const name = version.name;
  const id = `limit-${name}`;
  const isDefault = version.state === "VERSION_STATE_DEFAULT";
  const left = version.state !== "VERSION_STATE_READY" && number(version.documents) < number(collection.documents);
  return (
    <div class="row">
      {!isDefault && <button disabled={busy} onClick={() => act("check")}>Check {name}</button>}
      {version.backfill?.running
        ? <button disabled={busy} onClick={() => act("stop")}>Stop the backfill of {name}</button>
        : left && (
          <>
            <button disabled={busy} onClick={() => act("backfill", limit)}>Backfill {name}</button>
            <Field id={id} label={`Documents a second for ${name}`}>
              <input id={id} type="number" min="0" placeholder="no limit" value={limit} onInput={(event) => setLimit(event.currentTarget.value)} />
            </Field>
          </>
        )}
      {!isDefault && <button class="primary" disabled={busy} onClick={() => act("promote")}>Promote {name}</button>}
      {!isDefault && <button class="danger" disabled={busy} onClick={() => act("retire")}>Retire {name}</button>}
    </div>
  );
}

export function VersionCard(props: Props) {
  const { collection, version, mayChange } = props;
  const title = `version-${version.name}`;
  return (
    <article aria-labelledby={title}>
      <h2 id={title}>{version.name} <span class="badge">{enumName(version.state, "VERSION_STATE")}</span></h2>
      <Progress version={version} collection={collection} />
      <Facts rows={[
        ["Takes", `${version.inputDims} floats, ${enumName(version.metric, "METRIC")}`],
        ["Code", `${version.code}, ${version.bits} bits, space ${version.space ?? 0}`],
        ["Floats kept of", `${count(version.embeddings)} documents${version.sameEmbeddingsAs ? ` (those of ${version.sameEmbeddingsAs})` : ""}`],
        ["Model", version.model],
      ]} />
      <Measured version={version} />
      {mayChange && <Buttons {...props} />}
    </article>
  );
}
