// What the last argument of a call may have. Types tell a slip before the program runs; this tells those that have none.
import { invalid } from "./errors.js";
import type { CallOptions } from "./types.js";

/** Refuses options of other names than these. */
export function known<T extends object>(options: T, ...names: (T extends unknown ? keyof T & string : never)[]): void {
  for (const name of Object.keys(options)) {
    if (!(names as string[]).includes(name)) throw invalid(name, `there is no option "${name}" here; there are ${names.join(", ")}`);
  }
}

/** What every call takes, of the options of one that takes these too. */
export function callOptions<T extends CallOptions>(options: T, ...names: (T extends unknown ? keyof T & string : never)[]): CallOptions {
  known<CallOptions>(options, ...(names as (keyof CallOptions)[]), "timeoutMs", "signal");
  const { timeoutMs, signal } = options;
  return { ...(timeoutMs === undefined ? {} : { timeoutMs }), ...(signal === undefined ? {} : { signal }) };
}

/** A whole number that a message has room for. */
export function whole(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) throw invalid(name, `${name} is ${value}; it is a whole number, not negative`);
  return value;
}
