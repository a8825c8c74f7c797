// Where an estimated score comes from: every band of the code as a block as wide as its dims, its levels as rows that are half as high as
// the one above, filled by the share of bits that query and document have alike. Half is what two unrelated codes have.
import type { SearchHitJson } from "bebr/v1/search_pb";
import { percent } from "../format";
import { Table } from "./basic";

const kWidth = 600, kTop = 64, kLeast = 5, kGap = 8;

interface Band { dims: number; dot: number; adds: number; alike: number[] }
interface Parts { bands: Band[]; rest: number; estimate: number }

// The estimate is the sum of what bands add and of the rest.
export function partsOf({ explanation }: SearchHitJson): Parts | undefined {
  if (!explanation) return undefined;
  const factor = Number(explanation.queryFactor ?? 0);
  const bands = (explanation.bands ?? []).map((band): Band => {
    const dims = band.dims ?? 0, dot = Number(band.dot ?? 0);
    return {
      dims, dot,
      adds: Number(band.weight ?? 0) * dot * Number(explanation.scale ?? 0) * factor,
      alike: (band.distances ?? []).map((distance) => 1 - distance / dims),
    };
  });
  return { bands, rest: (Number(explanation.offset ?? 0) + Number(explanation.queryOffset ?? 0)) * factor, estimate: Number(explanation.estimate ?? 0) };
}

const heightOf = (level: number): number => Math.max(kTop / 2 ** level, kLeast);

function Block({ band, x, width }: { band: Band; x: number; width: number }) {
  let y = 0;
  return (
    <>
      {band.alike.map((alike, level) => {
        const top = y, height = heightOf(level);
        y += height + 2;
        return (
          <g key={level}>
            <rect x={x} y={top} width={width} height={height} class="cell" />
            <rect x={x} y={top} width={width * alike} height={height} class="alike" />
            <line x1={x + width / 2} x2={x + width / 2} y1={top} y2={top + height} class="half" />
          </g>
        );
      })}
    </>
  );
}

export function Explanation({ hit }: { hit: SearchHitJson }) {
  const parts = partsOf(hit);
  if (!parts || parts.bands.length === 0) return null;
  const { bands, rest, estimate } = parts;
  const dims = bands.reduce((sum, band) => sum + band.dims, 0);
  const room = kWidth - kGap * (bands.length - 1);
  const levels = Math.max(...bands.map((band) => band.alike.length));
  const height = Array.from({ length: levels }, (_, level) => heightOf(level) + 2).reduce((sum, one) => sum + one, 0);
  let x = 0;
  const placed = bands.map((band) => {
    const place = { band, x, width: (band.dims / dims) * room };
    x += place.width + kGap;
    return place;
  });
  const exact = hit.scoreKind === "SCORE_KIND_EXACT";
  const words = bands.map((band, i) => `band ${i + 1}, ${band.dims} dims: ${band.alike.map(percent).join(", ")} alike by level, adds ${band.adds.toFixed(4)}`).join("; ");
  return (
    <section aria-labelledby="explained">
      <h2 id="explained">Why {hit.id} scores so</h2>
      <figure class="bands">
        <svg viewBox={`0 0 ${kWidth} ${height}`} preserveAspectRatio="none" role="img" aria-label={`The code of ${hit.id} beside the query's: ${words}`}>
          {placed.map((one, i) => <Block key={i} {...one} />)}
        </svg>
        <figcaption>
          {bands.length === 1 ? "One band" : `${bands.length} bands, each as wide as its dims`}; the first level on top, each one below counts half as much.{" "}
          {hit.explanation?.group ? `It is coded in group ${hit.explanation.group}. ` : ""}Filled: bits that the document has as the query. The line is at one half, what unrelated codes have.
        </figcaption>
      </figure>
      <Table caption={`What makes the estimate of ${hit.id}`} head={["Band", "#Dims", "#Alike by level", "#Dot product of codes", "#Adds"]}>
        {bands.map((band, i) => (
          <tr key={i}>
            <th scope="row">{i + 1}</th>
            <td class="number">{band.dims}</td>
            <td class="number">{band.alike.map(percent).join(", ")}</td>
            <td class="number">{band.dot}</td>
            <td class="number">{band.adds.toFixed(4)}</td>
          </tr>
        ))}
        <tr><th scope="row">Offsets</th><td /><td /><td /><td class="number">{rest.toFixed(4)}</td></tr>
        <tr><th scope="row">Estimate</th><td /><td /><td /><td class="number">{estimate.toFixed(4)}</td></tr>
        {exact && <tr><th scope="row">Exact, by rerank</th><td /><td /><td /><td class="number">{Number(hit.score ?? 0).toFixed(4)}</td></tr>}
      </Table>
    </section>
  );
}
