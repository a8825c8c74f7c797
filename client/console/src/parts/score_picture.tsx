// How far hits are apart: each one's score on a line, best to the right, and the gap to the next one as a bar.
import type { SearchHitJson } from "bebr/v1/search_pb";

const kWidth = 600, kHeight = 46, kEdge = 10;

// The widest gap between neighbours, as a place after which the rest is clearly further away.
function widestGap(scores: readonly number[]): { after: number; gap: number } {
  let after = 0, gap = 0;
  for (let i = 0; i + 1 < scores.length; i++) {
    const here = scores[i]! - scores[i + 1]!;
    if (here > gap) { after = i + 1; gap = here; }
  }
  return { after, gap };
}

export function ScorePicture({ hits }: { hits: readonly SearchHitJson[] }) {
  const scores = hits.map((hit) => Number(hit.score ?? 0));
  if (scores.length < 2) return null;
  const most = scores[0]!, least = scores.at(-1)!, range = most - least;
  const x = (score: number) => (range > 0 ? kEdge + ((score - least) / range) * (kWidth - 2 * kEdge) : kWidth / 2);
  const { after, gap } = widestGap(scores);
  const words = range > 0
    ? `${scores.length} scores from ${most.toFixed(4)} to ${least.toFixed(4)}. The widest gap, ${gap.toFixed(4)}, is after hit ${after}.`
    : `All ${scores.length} scores are ${most.toFixed(4)}.`;
  return (
    <figure class="scores">
      <svg viewBox={`0 0 ${kWidth} ${kHeight}`} preserveAspectRatio="none" role="img" aria-label={`How far hits are apart: ${words}`}>
        <line x1={0} x2={kWidth} y1={23} y2={23} class="rule" />
        {gap > 0 && <rect x={x(scores[after]!)} width={x(scores[after - 1]!) - x(scores[after]!)} y={18} height={10} class="gap" />}
        {scores.map((score, i) => (
          <line key={i} x1={x(score)} x2={x(score)} y1={6} y2={40} class={hits[i]!.scoreKind === "SCORE_KIND_EXACT" ? "exact" : "estimated"} />
        ))}
      </svg>
      <figcaption><p class="axis"><span>{least.toFixed(4)}</span><span>score</span><span>{most.toFixed(4)}</span></p>{words}</figcaption>
    </figure>
  );
}
