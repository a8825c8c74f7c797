// Vectors in the browser: random ones, reading typed ones, and the two directions in which a sample varies most.

// Independent normal values.
export function randomVector(dims: number): number[] {
  const values: number[] = [];
  while (values.length < dims) {
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random())), angle = 2 * Math.PI * Math.random();
    values.push(radius * Math.cos(angle), radius * Math.sin(angle));
  }
  return values.slice(0, dims).map((value) => Math.fround(value));
}

// Reads "[0.25, 1]", "0.25, 1", "0.25 1" or a column of numbers. Throws an Error that says what is wrong, and where.
export function parseVector(text: string, dims: number): number[] {
  const parts = text.replace(/^\s*\[|\]\s*$/g, "").split(/[\s,;]+/).filter((part) => part !== "");
  if (parts.length === 0) throw new Error(`Paste ${dims} numbers, as JSON or with commas between.`);
  const values = parts.map((part, i) => {
    const value = Number(part);
    if (!Number.isFinite(value)) throw new Error(`Value ${i + 1} is "${part.slice(0, 40)}", which is no finite number.`);
    return value;
  });
  if (values.length !== dims) throw new Error(`There are ${values.length} numbers; the version takes ${dims}.`);
  return values;
}

export interface Plane {
  points: [number, number][];  // one a row, each axis scaled to [-1, 1] by the larger of the two
  explained: [number, number];  // share of the variance along each axis
  mean: Float64Array;
}

function center(rows: readonly number[][], unit: boolean): { centered: Float64Array[]; mean: Float64Array } {
  const dims = rows[0]!.length;
  const mean = new Float64Array(dims);
  const scaled = rows.map((row) => {
    const norm = unit ? Math.hypot(...row) || 1 : 1;
    return Float64Array.from(row, (value) => value / norm);
  });
  for (const row of scaled) for (let i = 0; i < dims; i++) mean[i]! += row[i]! / rows.length;
  for (const row of scaled) for (let i = 0; i < dims; i++) row[i]! -= mean[i]!;
  return { centered: scaled, mean };
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

// Makes the second vector orthogonal to the first, and both of length 1.
function orthonormalize(a: Float64Array, b: Float64Array): void {
  const scale = (v: Float64Array) => { const n = Math.sqrt(dot(v, v)) || 1; for (let i = 0; i < v.length; i++) v[i]! /= n; };
  scale(a);
  const along = dot(a, b);
  for (let i = 0; i < b.length; i++) b[i]! -= along * a[i]!;
  scale(b);
}

// Principal components by orthogonal iteration on the rows themselves: n x dims x 4 multiplications a step, no covariance matrix.
// `unit`: rows are scaled to length 1 first, as cosine sees them.
export function project(rows: readonly number[][], unit: boolean): Plane {
  const { centered, mean } = center(rows, unit);
  const dims = mean.length;
  let axes = [0, 1].map(() => Float64Array.from(randomVector(dims))) as [Float64Array, Float64Array];
  orthonormalize(...axes);
  for (let step = 0; step < 30; step++) {
    const next: [Float64Array, Float64Array] = [new Float64Array(dims), new Float64Array(dims)];
    for (const row of centered) {
      const along = [dot(row, axes[0]), dot(row, axes[1])];
      for (const axis of [0, 1] as const) for (let i = 0; i < dims; i++) next[axis][i]! += along[axis]! * row[i]!;
    }
    axes = next;
    orthonormalize(...axes);
  }
  const raw = centered.map((row): [number, number] => [dot(row, axes[0]), dot(row, axes[1])]);
  const total = centered.reduce((sum, row) => sum + dot(row, row), 0) || 1;
  const share = (axis: 0 | 1) => raw.reduce((sum, point) => sum + point[axis] ** 2, 0) / total;
  const reach = raw.reduce((most, point) => Math.max(most, Math.abs(point[0]), Math.abs(point[1])), 0) || 1;
  return { points: raw.map(([x, y]) => [x / reach, y / reach]), explained: [share(0), share(1)], mean };
}
