// One collection: its views, under one heading.
import { useLive } from "../parts/hooks";
import { Empty } from "../parts/basic";
import { MapView } from "./map";
import { MemoryView } from "./memory";
import { SearchView } from "./search";
import { VersionsView } from "./versions";

const kViews: [string, string][] = [["memory", "Memory"], ["versions", "Versions"], ["search", "Search"], ["map", "Map"]];

export function CollectionPage({ name, view, query }: { name: string; view: string; query: URLSearchParams }) {
  const { collections } = useLive();
  const collection = collections?.find((one) => one.name === name);
  const title = kViews.find(([id]) => id === view)?.[1] ?? "Memory";
  return (
    <>
      <h1 tabIndex={-1}>{name}<span class="hidden">: {title}</span></h1>
      <nav aria-label={`Views of ${name}`} class="views">
        {kViews.map(([id, text]) => (
          <a key={id} href={`#/collections/${encodeURIComponent(name)}/${id}`} aria-current={title === text ? "page" : undefined}>{text}</a>
        ))}
      </nav>
      {!collection && (collections
        ? <Empty commands={["bebr collections"]}>There is no collection {name}, or this key may not see it. What there is:</Empty>
        : <p role="status">Asking the server …</p>)}
      {collection?.problem && <p class="failure"><strong>It takes no writes: </strong>{collection.problem} Searches go on; writes do once the disk is mended.</p>}
      {collection && (view === "versions" ? <VersionsView collection={collection} />
        : view === "search" ? <SearchView collection={collection} id={query.get("id") ?? ""} />
        : view === "map" ? <MapView collection={collection} />
        : <MemoryView collection={collection} />)}
    </>
  );
}
