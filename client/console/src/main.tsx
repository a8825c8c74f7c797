// The page: what is shown is in the address after #, so that it can be linked to and gone back from.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { start } from "./live";
import { Failure } from "./parts/basic";
import { useKeys, useLive } from "./parts/hooks";
import { CollectionPage } from "./views/collection";
import { CollectionsPage } from "./views/collections";
import { KeysPage } from "./views/keys";
import { ServerPage } from "./views/server";

export interface Route { parts: string[]; query: URLSearchParams }

function readRoute(): Route {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

function useRoute(): Route {
  const [route, setRoute] = useState(readRoute);
  useEffect(() => {
    const changed = () => setRoute(readRoute());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

function Page({ route }: { route: Route }) {
  const [first, name, view] = route.parts;
  if (first === "collections" && name) return <CollectionPage key={name} name={name} view={view ?? "memory"} query={route.query} />;
  if (first === "server") return <ServerPage />;
  if (first === "keys") return <KeysPage />;
  return <CollectionsPage />;
}

function App() {
  const route = useRoute();
  const { error } = useLive();
  const keys = useKeys();
  const main = useRef<HTMLElement>(null);
  const place = route.parts.join("/");
  const first = useRef(true);
  // A reader of the screen is told where it is; at the start the browser tells.
  useEffect(() => {
    const heading = main.current?.querySelector("h1");
    document.title = `${heading?.textContent ?? "Console"} - bebr`;
    if (!first.current) heading?.focus();
    first.current = false;
  }, [place]);
  const current = route.parts[0] ?? "collections";
  const links: [string, string][] = [["collections", "Collections"], ["server", "Server"], ["keys", "Keys"]];
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>Skip to content</a>
      <header>
        <span class="name">bebr</span>
        <nav aria-label="Main">
          {links.map(([to, text]) => <a key={to} href={`#/${to}`} aria-current={current === to ? "page" : undefined}>{text}</a>)}
        </nav>
        <span class="quiet">{keys.admin ? "admin key" : keys.read ? "read key" : ""}</span>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <Failure error={current === "keys" ? undefined : error} />
        <Page route={route} />
      </main>
    </>
  );
}

start();
render(<App />, document.getElementById("app")!);
