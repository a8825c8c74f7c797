import { invalid } from "./errors.js";
import type { Filter, Scalar } from "./types.js";

const WORDS = new Set(["AND", "OR", "NOT", "IN", "EXISTS", "TRUE", "FALSE"]);

/** An attribute's name, in back quotes where it needs them. */
export function attributeName(name: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name) && !WORDS.has(name.toUpperCase())) return name;
  return "`" + name.replace(/[\\`]/g, "\\$&") + "`";
}

/** A value as the filter language has it. */
export function literal(value: Scalar): string {
  if (value instanceof Date && Number.isNaN(value.getTime())) throw invalid("filter", "a filter has an invalid Date");
  if (value instanceof Date) return `TIMESTAMP "${value.toJSON()}"`;
  if (typeof value === "string") return '"' + value.replace(/[\\"]/g, "\\$&") + '"';
  if (["number", "bigint", "boolean"].includes(typeof value)) return String(value);
  throw invalid("filter", `a filter has a value of ${typeof value}; it is a string, number, bigint, boolean or Date, or an array of these`);
}

/** That a list has one of the values, or with "ALL" all of them. */
export function contains(attribute: string, values: Scalar | readonly Scalar[], which: "ANY" | "ALL" = "ANY"): string {
  const all = Array.isArray(values) ? (values as readonly Scalar[]) : [values as Scalar];
  if (all.length === 0) throw invalid("filter", `filter: "${attribute}" is to contain one of no values`);
  return `${attributeName(attribute)} CONTAINS ${which} (${all.map(literal).join(", ")})`;
}

/** A filter's text: values from elsewhere are quoted as they must be. */
export function filterText(filter: Filter): string {
  if (typeof filter === "string") return filter;
  const conditions = Object.entries(filter).map(([name, value]) => {
    if (!Array.isArray(value)) return `${attributeName(name)} = ${literal(value as Scalar)}`;
    if (value.length === 0) throw invalid("filter", `filter: "${name}" is to be one of no values`);
    return `${attributeName(name)} IN (${value.map(literal).join(", ")})`;
  });
  return conditions.join(" AND ");
}
