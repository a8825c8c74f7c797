// What a search found: the hits, how far they are apart, and where the time went.
import type { SearchHitJson } from "bebr/v1/search_pb";
import { useState } from "preact/hooks";
import { duration, enumName, shell } from "../format";
import { Empty, Facts, Table } from "../parts/basic";
import { Explanation } from "../parts/explanation";
import { ScorePicture } from "../parts/score_picture";
import { valueOf, valuesOf } from "../sample";
import type { Found } from "./search";

interface Props { found: Found; collection: string; floats: boolean; more: (id: string) => void }
// `next` is the one after it in the same group, if the hits are grouped.
interface RowProps {
  hit: SearchHitJson; rank: number; next: SearchHitJson | undefined; first: boolean; floats: boolean; more: (id: string) => void; explained: boolean; explain: (id: string) => void;
}

const groupOf = (hit: SearchHitJson | undefined): string | undefined => hit?.group && String(valueOf(hit.group));

function Row({ hit, rank, next, first, floats, more, explained, explain }: RowProps) {
  const score = Number(hit.score ?? 0), its = Number(hit.its ?? 0);
  return (
    <tr data-id={hit.id} data-score={score} data-its={its} class={first ? "first" : ""}>
      <td class="number">{rank}</td>
      {hit.group && <td class="group">{groupOf(hit)}</td>}
      <th scope="row">{hit.id}</th>
      <td class="number">{score.toFixed(4)}</td>
      <td class="number">{next ? (score - Number(next.score ?? 0)).toFixed(4) : ""}</td>
      <td>{enumName(hit.scoreKind, "SCORE_KIND")}</td>
      <td class="its"><meter min={0} max={1} value={its} aria-label={`ITS of ${hit.id}`} /> {its.toFixed(3)}</td>
      <td>{hit.version}</td>
      <td class="attributes">{Object.entries(valuesOf(hit)).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => (
        <span key={name}><b>{name}</b> {String(value)}</span>))}</td>
      {(floats || hit.explanation) && (
        <td>
          <div class="row-buttons">
            {hit.explanation && <button class="small" aria-pressed={explained} onClick={() => explain(hit.id ?? "")} aria-label={`Why: ${hit.id}`}>Why</button>}
            {floats && <button class="small" onClick={() => more(hit.id ?? "")} aria-label={`Like this: ${hit.id}`}>Like this</button>}
          </div>
        </td>
      )}
    </tr>
  );
}

export function Results({ found, collection, floats, more }: Props) {
  const { answer, roundTripMs } = found;
  const [chosen, choose] = useState("");
  const hits = answer.hits ?? [];
  const timings = answer.timings ?? {};
  const grouped = hits[0]?.group !== undefined;
  const explained = hits.find((hit) => hit.id === chosen) ?? (hits[0]?.explanation && hits[0]);
  if (hits.length === 0) {
    return <Empty commands={[`bebr count ${shell(collection)}`]}>
      Nothing was found{found.filtered ? ": no document satisfies the filter. Take a condition away, or look at the attributes of a search without one" : ". Lower the least score, or see what there is"}:
    </Empty>;
  }
  return (
    <>
      <ScorePicture hits={grouped ? [...hits].sort((a, b) => Number(b.score ?? 0) - Number(a.score ?? 0)) : hits} />
      <Table caption="Hits" head={["#Rank", ...(grouped ? ["Group"] : []), "Id", "#Score", "#To the next", "Score is", "ITS", "Coded by", "Attributes", ...(floats || hits[0]!.explanation ? ["More"] : [])]}>
        {hits.map((hit, i) => (
          <Row key={`${hit.id} ${groupOf(hit)}`} hit={hit} rank={i + 1} next={groupOf(hit) === groupOf(hits[i + 1]) ? hits[i + 1] : undefined}
            first={grouped && i > 0 && groupOf(hit) !== groupOf(hits[i - 1])} floats={floats} more={more} explained={hit === explained} explain={choose} />
        ))}
      </Table>
      <div aria-live="polite">{explained && <Explanation hit={explained} />}</div>
      <h2>Time</h2>
      <Facts rows={[
        ["Waiting", duration(timings.queueUs)],
        ["Encoding", duration(timings.encodeUs)],
        [`Scan, shared by ${timings.queriesInScan ?? 1}`, duration(timings.scanUs)],
        ["Rerank", duration(timings.rerankUs)],
        ["There and back, seen from here", `${roundTripMs.toFixed(1)} ms`],
      ]} />
    </>
  );
}
