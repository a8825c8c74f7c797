// What a search found: the hits, how far they are apart, and where the time went.
import type { SearchHitJson } from "bebr/v1/search_pb";
import { duration, enumName, shell } from "../format";
import { Empty, Facts, Table } from "../parts/basic";
import { ScorePicture } from "../parts/score_picture";
import { valuesOf } from "../sample";
import type { Found } from "./search";

interface Props { found: Found; collection: string; floats: boolean; more: (id: string) => void }

function Row({ hit, rank, next, floats, more }: { hit: SearchHitJson; rank: number; next: SearchHitJson | undefined; floats: boolean; more: (id: string) => void }) {
  const score = Number(hit.score ?? 0), its = Number(hit.its ?? 0);
  return (
    <tr>
      <td class="number">{rank}</td>
      <th scope="row">{hit.id}</th>
      <td class="number">{score.toFixed(4)}</td>
      <td class="number">{next ? (score - Number(next.score ?? 0)).toFixed(4) : ""}</td>
      <td>{enumName(hit.scoreKind, "SCORE_KIND")}</td>
      <td class="its"><meter min={0} max={1} value={its} aria-label={`ITS of ${hit.id}`} /> {its.toFixed(3)}</td>
      <td>{hit.version}</td>
      <td class="attributes">{Object.entries(valuesOf(hit)).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => (
        <span key={name}><b>{name}</b> {String(value)}</span>))}</td>
      {floats && <td><button class="small" onClick={() => more(hit.id ?? "")} aria-label={`Like this: ${hit.id}`}>Like this</button></td>}
    </tr>
  );
}

export function Results({ found, collection, floats, more }: Props) {
  const { answer, roundTripMs } = found;
  const hits = answer.hits ?? [];
  const timings = answer.timings ?? {};
  if (hits.length === 0) {
    return <Empty commands={[`bebr count ${shell(collection)}`]}>
      Nothing was found{found.filtered ? ": no document satisfies the filter. Take a condition away, or look at the attributes of a search without one" : ". Lower the least score, or see what there is"}:
    </Empty>;
  }
  return (
    <>
      <ScorePicture hits={hits} />
      <Table caption="Hits" head={["#Rank", "Id", "#Score", "#To the next", "Score is", "ITS", "Coded by", "Attributes", ...(floats ? ["More"] : [])]}>
        {hits.map((hit, i) => <Row key={hit.id} hit={hit} rank={i + 1} next={hits[i + 1]} floats={floats} more={more} />)}
      </Table>
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
