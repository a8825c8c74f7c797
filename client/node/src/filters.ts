import { create, type MessageInitShape } from "@bufbuild/protobuf";

import { checkUtf8, invalid } from "./errors.js";
import { FilterOperator, type FilterSchema, FilterTestSchema } from "./gen/bebr/v1/types_pb.js";
import type { Filter, Id, Scalar } from "./types.js";
import { toIds, toScalar } from "./values.js";

const WORDS = new Set(["AND", "OR", "NOT", "IN", "EXISTS", "TRUE", "FALSE", "ID"]);
// Of text, by the server; what is longer goes as a tree.
const MOST_TEXT_BYTES = 64 << 10;

/** An attribute's name, in back quotes where the language would read it otherwise: its own words, and `id`, the document's id. */
export function attributeName(name: string): string {
  checkUtf8(name, "a name in a filter", "filter");
  if (/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name) && !WORDS.has(name.toUpperCase())) return name;
  return "`" + name.replace(/[\\`]/g, "\\$&") + "`";
}

/** A value as the filter language has it. */
export function literal(value: Scalar): string {
  return toLiteral(value, "a value");
}

function toLiteral(value: Scalar, what: string): string {
  if (value === null || !(value instanceof Date || ["string", "number", "bigint", "boolean"].includes(typeof value))) {
    throw invalid("filter", `filter: ${what} is ${value === null ? "null" : `of ${typeof value}`}; it is a string, number, bigint, boolean or Date, or an array of these`);
  }
  const { kind } = toScalar(value, `filter: ${what}`, false, "filter"); // refuses what no attribute is
  if (kind.case === "timestampValue") return `TIMESTAMP "${kind.value}"`;
  if (kind.case === "doubleValue") return /[.e]/.test(String(value)) ? String(value) : `${String(value)}.0`; // a whole number beyond 2^53
  return typeof value === "string" ? '"' + value.replace(/[\\"]/g, "\\$&") + '"' : String(value);
}

function listed(values: readonly Scalar[], what: string): string {
  if (values.length === 0) throw invalid("filter", `filter: ${what} is to be one of no values`);
  return values.map((value, index) => toLiteral(value, `${what}[${index}]`)).join(", ");
}

/** That a document's own id is one of these. `get`, `update` and `delete` take ids as they are. */
export function ids(which: Id | readonly Id[]): string {
  return `id IN (${listed(toIds(which), "ids")})`;
}

/** That a list has one of the values, or with "ALL" all of them. */
export function contains(attribute: string, values: Scalar | readonly Scalar[], which: "ANY" | "ALL" = "ANY"): string {
  const all = Array.isArray(values) ? (values as readonly Scalar[]) : [values as Scalar];
  return `${attributeName(attribute)} CONTAINS ${which} (${listed(all, `"${attribute}"`)})`;
}

/** A filter's text: values from elsewhere are quoted as they must be, and names are those of attributes, "id" too. */
export function filterText(filter: Filter): string {
  if (typeof filter === "string") {
    checkUtf8(filter, "filter", "filter");
    return filter;
  }
  const conditions = Object.entries(filter).map(([name, value]) =>
    Array.isArray(value) ? `${attributeName(name)} IN (${listed(value as readonly Scalar[], `"${name}"`)})` : `${attributeName(name)} = ${toLiteral(value as Scalar, `"${name}"`)}`,
  );
  return conditions.join(" AND ");
}

/** Of a request: the text, or, of values whose text would be longer than the server takes, the same as a tree. */
export function filterFields(filter: Filter): { filter: string } | { filterTree: MessageInitShape<typeof FilterSchema> } {
  const text = filterText(filter);
  if (typeof filter === "string" || Buffer.byteLength(text) <= MOST_TEXT_BYTES) return { filter: text };
  const filters = Object.entries(filter).map(([attribute, value]) => {
    const several = Array.isArray(value);
    const values = (several ? (value as readonly Scalar[]) : [value as Scalar]).map((one) => toScalar(one, `filter: "${attribute}"`, false, "filter"));
    return { node: { case: "test" as const, value: create(FilterTestSchema, { attribute, operator: several ? FilterOperator.IN : FilterOperator.EQUAL, values }) } };
  });
  return { filterTree: { node: { case: "allOf", value: { filters } } } };
}
