// Small parts of all views.
import type { ComponentChildren } from "preact";
import { ApiError, advice } from "../api";

// An error with what to do about it; read out at once.
export function Failure({ error }: { error: Error | undefined }) {
  return (
    <div role="alert" class={error ? "failure" : ""}>
      {error && (
        <>
          <strong>{error instanceof ApiError && error.code !== "unreachable" ? error.code.replaceAll("_", " ") : "Failed"}: </strong>
          {error.message}
          {error instanceof ApiError && <p>{advice(error)} {error.code === "unauthenticated" && <a href="#/keys">Type a key</a>}</p>}
        </>
      )}
    </div>
  );
}

// Commands to type, which a click selects; focusable, so that a narrow screen's reader can scroll them.
export function Commands({ lines, label }: { lines: string[]; label: string }) {
  return <pre class="commands" tabIndex={0} role="region" aria-label={label}><code>{lines.join("\n")}</code></pre>;
}

// What is told where there is nothing to show.
export function Empty({ children, commands }: { children: ComponentChildren; commands?: string[] }) {
  return (
    <div class="empty">
      <p>{children}</p>
      {commands && <Commands lines={commands} label="Next commands" />}
    </div>
  );
}

export function Facts({ rows }: { rows: [string, ComponentChildren][] }) {
  return <dl class="facts">{rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

// A wide table: it scrolls by itself, by keyboard too. A head that begins with # is of numbers.
export function Table({ caption, head, children }: { caption: string; head: string[]; children: ComponentChildren }) {
  return (
    <div class="table" tabIndex={0} role="region" aria-label={caption}>
      <table>
        <caption>{caption}</caption>
        <thead><tr>{head.map((cell) => <th key={cell} scope="col" class={cell.startsWith("#") ? "number" : ""}>{cell.replace("#", "")}</th>)}</tr></thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export function Field({ id, label, hint, children }: { id: string; label: string; hint?: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </div>
  );
}
