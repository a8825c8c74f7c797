// A map of a sample: the two directions in which the stored floats vary most.
import type { CollectionJson } from "bebr/v1/collections_pb";
import { useState } from "preact/hooks";
import { count, percent, shell } from "../format";
import { Empty, Failure, Field } from "../parts/basic";
import { Scatter } from "../parts/scatter";
import { useTask } from "../parts/hooks";
import { attributesOf, samplePoints, storesFloats, versionOf, type Attribute, type Point } from "../sample";
import { project, type Plane } from "../vectors";

interface Map { points: Point[]; plane: Plane; attributes: Attribute[] }

async function draw(collection: CollectionJson, versionName: string, wanted: number, signal: AbortSignal): Promise<Map> {
  const version = versionOf(collection, versionName)!;
  const points = await samplePoints(collection, version, wanted, signal);
  if (points.length < 3) throw new Error(`Only ${points.length} documents with floats of ${version.name} were found; a map needs 3. Import more, or choose another version.`);
  return {
    points, plane: project(points.map((point) => point.values), version.metric === "METRIC_COSINE"),
    attributes: attributesOf(points),
  };
}

export function MapView({ collection }: { collection: CollectionJson }) {
  const task = useTask<Map>();
  const [size, setSize] = useState("600");
  const [version, setVersion] = useState("");
  const [colour, setColour] = useState("");
  const name = collection.name ?? "";
  if (!storesFloats(collection)) {
    return <Empty commands={[`bebr create ${shell(`${name}-2`)} --model model.safetensors --store-floats f16`]}>
      A map is drawn from stored floats, and {name} keeps none. A collection that keeps them is made with:</Empty>;
  }
  const live = collection.versions?.filter((one) => one.state !== "VERSION_STATE_RETIRED") ?? [];
  const attributes = task.result?.attributes ?? [];
  const attribute = attributes.find((one) => one.name === colour) ?? attributes.find((one) => one.values.length > 1 && one.values.length <= 40) ?? attributes[0];
  return (
    <>
      <form class="row" onSubmit={(event) => { event.preventDefault(); task.run((signal) => draw(collection, version, Number(size), signal)); }}>
        <Field id="map-size" label="Documents">
          <input id="map-size" type="number" min={3} max={2000} required value={size} onInput={(event) => setSize(event.currentTarget.value)} />
        </Field>
        <Field id="map-version" label="Version">
          <select id="map-version" value={version} onChange={(event) => setVersion(event.currentTarget.value)}>
            <option value="">{collection.defaultVersion} (default)</option>
            {live.filter((one) => one.name !== collection.defaultVersion).map((one) => <option key={one.name} value={one.name}>{one.name}</option>)}
          </select>
        </Field>
        {attributes.length > 0 && (
          <Field id="map-colour" label="Coloured by">
            <select id="map-colour" value={attribute?.name} onChange={(event) => setColour(event.currentTarget.value)}>
              {attributes.map((one) => <option key={one.name} value={one.name}>{one.name}</option>)}
            </select>
          </Field>
        )}
        <button class="primary" type="submit">Draw the map</button>
      </form>
      <p role="status">{task.running ? "Taking a sample …" : task.result &&
        `${count(task.result.points.length)} documents. The axes hold ${percent(task.result.plane.explained[0])} and ${percent(task.result.plane.explained[1])} of how they differ.`}</p>
      <Failure error={task.error} />
      {task.result && <Scatter points={task.result.points} plane={task.result.plane} attribute={attribute} collection={name} />}
      <p class="quiet">The sample is taken at random of the first 100,000 documents by id. Near on the map is not always near in the collection.</p>
    </>
  );
}
