// Numbers as people read them.
const kCount = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

// 64-bit numbers come as text.
export type Int64 = string | number | undefined;
export const number = (value: Int64): number => Number(value ?? 0);

export const count = (value: Int64): string => kCount.format(number(value));

export function bytes(value: Int64): string {
  let rest = number(value);
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (rest < 1024) return `${unit === "B" ? rest : rest.toFixed(rest < 10 ? 2 : 1)} ${unit}`;
    rest /= 1024;
  }
  return `${rest.toFixed(1)} TiB`;
}

export const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;

export function rate(perSecond: number): string {
  return perSecond < 10 ? perSecond.toFixed(1) : kCount.format(perSecond);
}

export function duration(us: Int64): string {
  const value = number(us);
  return value < 1000 ? `${value} µs` : value < 1e6 ? `${(value / 1000).toFixed(1)} ms` : `${(value / 1e6).toFixed(2)} s`;
}

export function uptime(seconds: Int64): string {
  const minutes = Math.floor(number(seconds) / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

export const time = (unixUs: Int64): string => new Date(number(unixUs) / 1000).toLocaleString();

// SCORE_KIND_EXACT is "exact" where the prefix is SCORE_KIND.
export const enumName = (value: string | undefined, prefix: string): string =>
  value === undefined || value.endsWith("_UNSPECIFIED") ? "" : value.slice(prefix.length + 1).toLowerCase().replaceAll("_", " ");

// A name as the command line takes it; those of the API need no quotes.
export const shell = (name: string): string => (/^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`);
