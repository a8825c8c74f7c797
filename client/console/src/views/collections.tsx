// All collections, what they hold and take.
import type { CollectionJson } from "bebr/v1/collections_pb";
import { bytes, count, number } from "../format";
import { Empty, Table } from "../parts/basic";
import { useLive } from "../parts/hooks";

const busy = (collection: CollectionJson): string => {
  const running = collection.versions?.filter((version) => version.backfill?.running) ?? [];
  return [...running.map((version) => `${version.name} is being filled`), ...(collection.problem ? ["takes no writes"] : [])].join(", ");
};

export function CollectionsPage() {
  const { collections, unavailable = [], aliases = [], error } = useLive();
  return (
    <>
      <h1 tabIndex={-1}>Collections</h1>
      {!collections && !error && <p role="status">Asking the server …</p>}
      {unavailable.map((one) => (
        <p key={one.name} class="failure"><strong>{one.name} cannot be opened: </strong>{one.reason} Mend what is named and start the server again, or restore a snapshot: bebr snapshot restore.</p>
      ))}
      {collections?.length === 0 && unavailable.length === 0 && (
        <Empty commands={["bebr create papers --dims 384", "bebr import papers docs.npy"]}>
          There is no collection yet, or none that this key may see. Make one and fill it:
        </Empty>
      )}
      {collections && collections.length > 0 && (
        <Table caption="Collections of this server" head={["Name", "#Documents", "Default version", "#Memory", "#Bytes a document", "#On disk", "Now"]}>
          {collections.map((one) => (
            <tr key={one.name}>
              <th scope="row">
                <a href={`#/collections/${encodeURIComponent(one.name ?? "")}`}>{one.name}</a>
                {aliases.filter((alias) => alias.collection === one.name).map((alias) => (
                  <small key={alias.name}> alias {alias.name}</small>))}
              </th>
              <td class="number">{count(one.documents)}</td>
              <td>{one.defaultVersion}</td>
              <td class="number">{bytes(one.memory?.total)}</td>
              <td class="number">{number(one.documents) > 0 ? count(number(one.memory?.total) / number(one.documents)) : ""}</td>
              <td class="number">{bytes(one.diskBytes)}</td>
              <td>{busy(one)}</td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}
