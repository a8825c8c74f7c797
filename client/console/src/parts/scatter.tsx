// Points on a plane, coloured and shaped by an attribute. With the focus on it the arrow keys go from point to point.
import { useMemo, useState } from "preact/hooks";
import type { Attribute, Point, Value } from "../sample";
import type { Plane } from "../vectors";

const kGroups = 7;  // colours that can be told apart; the eighth is "other"
const kPlaces = 5;  // of numbers

interface Group { name: string; size: number }

// The group of each point, and the groups' names: the commonest values, or fifths of numbers.
function group(points: readonly Point[], attribute: Attribute | undefined): { of: number[]; groups: Group[] } {
  const values = points.map((point): Value | undefined => (attribute ? point.attributes[attribute.name] : undefined));
  let names: string[], of: number[];
  if (attribute?.kind === "number" && attribute.values.length > kGroups) {
    const sorted = values.filter((value): value is number => typeof value === "number").sort((a, b) => a - b);
    const cuts = Array.from({ length: kPlaces - 1 }, (_, i) => sorted[Math.floor(((i + 1) * sorted.length) / kPlaces)]!);
    names = [...cuts.map((cut, i) => (i === 0 ? `below ${cut}` : `${cuts[i - 1]} to ${cut}`)), `from ${cuts.at(-1)}`];
    of = values.map((value) => (typeof value === "number" ? cuts.filter((cut) => value >= cut).length : kGroups));
  } else {
    const common = attribute?.values.slice(0, kGroups) ?? [];
    names = common.map((value) => (value === "" ? "(empty)" : String(value)));
    of = values.map((value) => { const at = value === undefined ? -1 : common.indexOf(value); return at < 0 ? kGroups : at; });
  }
  const size = (g: number) => of.filter((one) => one === g).length;
  const groups = names.map((name, g) => ({ name, size: size(g) }));
  while (groups.length < kGroups) groups.push({ name: "", size: 0 });
  return { of, groups: [...groups, { name: attribute ? "other" : "all", size: size(kGroups) }] };
}

// Colour is not all that tells groups apart: every other one is a square.
function Mark({ x, y, group: g, chosen, title, choose }: { x: number; y: number; group: number; chosen: boolean; title: string; choose: () => void }) {
  const name = `mark group-${g}${chosen ? " chosen" : ""}`;
  const size = chosen ? 12 : 7;
  return g % 2 === 0
    ? <circle class={name} cx={x} cy={y} r={size} onClick={choose}><title>{title}</title></circle>
    : <rect class={name} x={x - size} y={y - size} width={2 * size} height={2 * size} onClick={choose}><title>{title}</title></rect>;
}

interface Props { points: readonly Point[]; plane: Plane; attribute: Attribute | undefined; collection: string }

export function Scatter({ points, plane, attribute, collection }: Props) {
  const [at, setAt] = useState(-1);
  const { of, groups } = useMemo(() => group(points, attribute), [points, attribute]);
  // From left to right, for the arrow keys.
  const order = useMemo(() => points.map((_, i) => i).sort((a, b) => plane.points[a]![0] - plane.points[b]![0]), [points, plane]);
  const place = order.indexOf(at);
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
    if (!step) return;
    event.preventDefault();
    setAt(order[Math.min(Math.max(place < 0 ? 0 : place + step, 0), order.length - 1)]!);
  };
  const point = points[at];
  const told = point && [point.id, ...Object.entries(point.attributes).map(([name, value]) => `${name} ${value}`)].join(", ");
  return (
    <div class="map">
      <div class="plane" tabIndex={0} role="application" aria-label={`Map of ${points.length} documents. Arrow keys go from point to point.`} onKeyDown={move}>
        <svg viewBox="-520 -520 1040 1040" aria-hidden="true">
          {points.map((one, i) => (
            <Mark key={one.id} x={plane.points[i]![0] * 500} y={-plane.points[i]![1] * 500} group={of[i]!} chosen={false} title={one.id} choose={() => setAt(i)} />
          ))}
          {point && <Mark x={plane.points[at]![0] * 500} y={-plane.points[at]![1] * 500} group={of[at]!} chosen title={point.id} choose={() => setAt(-1)} />}
        </svg>
      </div>
      <div>
        <h2>{attribute ? attribute.name : "All documents"}</h2>
        <ul class="legend">
          {groups.map((one, g) => one.size > 0 && (
            <li key={g}><svg viewBox="-10 -10 20 20" aria-hidden="true"><Mark x={0} y={0} group={g} chosen={false} title="" choose={() => {}} /></svg> {one.name} <span class="quiet">{one.size}</span></li>
          ))}
        </ul>
        <p role="status" class="told">{told ?? "Choose a point to see what it is."}</p>
        {point && <p><a href={`#/collections/${encodeURIComponent(collection)}/search?id=${encodeURIComponent(point.id)}`}>Search by {point.id}</a></p>}
      </div>
    </div>
  );
}
