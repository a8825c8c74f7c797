// Completion of filter expressions: what may stand where the cursor is, as the server's grammar has it:
//     year >= 2020 AND (lang = "en" OR lang IN ('de', 'fr')) AND NOT draft = true AND doi EXISTS
import type { Attribute } from "./sample";

export interface Completion {
  from: number;  // the piece of the text that an option replaces
  to: number;
  options: string[];
}

const kTokens = /"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|`[^`]*`?|[()<>=!,]+?=?|[^\s()<>=!,"'`]+/g;
const kWords = new Set(["AND", "OR", "NOT"]);
const kOrders = ["=", "!=", "<", "<=", ">", ">="];
const kOperators: Record<Attribute["kind"], string[]> = {
  text: ["=", "!=", "IN", "EXISTS"], boolean: ["=", "!=", "EXISTS"], number: [...kOrders, "IN", "EXISTS"], time: [...kOrders, "EXISTS"],
  list: ["CONTAINS", "CONTAINS ANY", "CONTAINS ALL", "EXISTS"],
};
const kMost = 12;

type Expected = "name" | "operator" | "value" | "list" | "connective";

const quotedName = (name: string): string => (/^[A-Za-z0-9_.-]+$/.test(name) ? name : `\`${name}\``);

// What follows after these tokens, and the attribute that a value would be of.
function expectedAfter(tokens: readonly string[]): { expected: Expected; name: string; inList: boolean } {
  let expected: Expected = "name", name = "", inList = false;
  for (const token of tokens) {
    const upper = token.toUpperCase();
    if (expected === "name") {
      if (upper === "NOT" || token === "(") continue;
      name = token.replace(/^`|`$/g, "");
      expected = "operator";
    } else if (expected === "operator") {
      if (upper === "EXISTS") expected = "connective";
      else if (upper === "IN") { expected = "list"; inList = true; }
      else expected = "value";
    } else if (expected === "list") {
      expected = "value";  // "("
    } else if (expected === "value" && !inList && /^(ANY|ALL)$/.test(upper)) {
      expected = "list";  // CONTAINS ANY
      inList = true;
    } else if (expected === "value" && upper === "TIMESTAMP") {
      continue;  // its text follows
    } else if (expected === "value") {
      expected = "connective";
    } else if (inList && token === ",") {
      expected = "value";
    } else if (token === ")") {
      inList = false;
    } else if (kWords.has(upper)) {
      expected = "name";
    }
  }
  return { expected, name, inList };
}

function optionsFor(expected: Expected, name: string, inList: boolean, attributes: readonly Attribute[]): string[] {
  const attribute = attributes.find((one) => one.name === name);
  switch (expected) {
    case "name": return [...attributes.map((one) => quotedName(one.name)), "NOT"];
    case "operator": return kOperators[attribute?.kind ?? "number"];
    case "list": return ["("];
    case "value": return attribute?.literals.slice(0, 200) ?? [];
    case "connective": return inList ? [",", ")"] : ["AND", "OR"];
  }
}

// What may stand at `cursor`, beginning with what is typed there already.
export function complete(text: string, cursor: number, attributes: readonly Attribute[]): Completion {
  const tokens = [...text.slice(0, cursor).matchAll(kTokens)];
  const last = tokens.at(-1);
  const typing = last !== undefined && last.index + last[0].length === cursor && !/^[()=,]$/.test(last[0]);
  const before = (typing ? tokens.slice(0, -1) : tokens).map((token) => token[0]);
  const typed = typing ? last[0] : "";
  const { expected, name, inList } = expectedAfter(before);
  const plain = (word: string) => word.replace(/^["'`]/, "").toLowerCase();
  const isTime = before.at(-1)?.toUpperCase() === "TIMESTAMP";
  const options = optionsFor(expected, name, inList, attributes)
    .map((option) => (isTime ? option.replace(/^TIMESTAMP /, "") : option))
    .filter((option) => plain(option).startsWith(plain(typed)) && option !== typed).slice(0, kMost);
  return { from: cursor - typed.length, to: cursor, options };
}

// The text with the option put in, and where the cursor then stands.
export function accept(text: string, completion: Completion, option: string): { text: string; cursor: number } {
  const before = text.slice(0, completion.from), after = text.slice(completion.to);
  const space = before !== "" && !/[\s(]$/.test(before) && option !== "," ? " " : "";
  const put = `${before}${space}${option}${after.startsWith(" ") ? "" : " "}`;
  return { text: put + after, cursor: put.length };
}
