// What the server does now, and did while the page was open.
import { bytes, count, number, rate, uptime } from "../format";
import type { Moment } from "../live";
import { Commands, Facts } from "../parts/basic";
import { Chart } from "../parts/chart";
import { useLive } from "../parts/hooks";

const milliseconds = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
const perSecond = (value: number): string => `${rate(value)}/s`;

type Figure = Exclude<keyof Moment, `${string}P${number}Ms`>;
const kCharts: [string, Figure, (value: number) => string][] = [
  ["Queries", "queries", perSecond],
  ["Processor time of a scan", "scanMs", milliseconds],
  ["Queries that wait", "queued", count],
  ["Refused calls", "refused", perSecond],
  ["Documents written", "written", perSecond],
  ["Documents re-encoded", "reencoded", perSecond],
  ["The server's answer to this page", "answerMs", milliseconds],
];

const kLatencies: [string, keyof Moment, keyof Moment][] = [
  ["Time of a search", "searchP50Ms", "searchP99Ms"],
  ["Time of a write", "writeP50Ms", "writeP99Ms"],
];

// Where there were no calls there is no point.
const pointsOf = (moments: readonly Moment[], field: keyof Moment) =>
  moments.flatMap((one) => { const value = one[field]; return value === undefined ? [] : [{ at: one.at, value }]; });

export function ServerPage() {
  const { stats, moments, recalls } = useLive();
  const named = [...recalls].map(([name, points]) => ({ name, points: points.map(({ at, recall }) => ({ at, value: recall })) }));
  const least = Math.min(1, ...named.flatMap((one) => one.points.map((point) => point.value)));
  return (
    <>
      <h1 tabIndex={-1}>Server</h1>
      {!stats && <p role="status">Asking the server …</p>}
      {stats && (
        <Facts rows={[
          ["Version", stats.buildVersion],
          ["Up", uptime(stats.uptimeSeconds)],
          ["Kernels", `${stats.simd}, ${stats.threads} threads`],
          ["Queries since its start", count(stats.queries)],
          ["Scanned since its start", `${count(stats.documentsScanned)} documents, ${bytes(stats.bytesScanned)}`],
          ["Refused since its start", count(number(stats.refusedQueries) + number(stats.refusedUpserts))],
        ]} />
      )}
      <h2>While this page was open</h2>
      <div class="charts">
        {kCharts.map(([title, field, show]) => (
          <Chart key={field} title={title} show={show} series={[{ name: "", points: moments.map((one) => ({ at: one.at, value: one[field] })) }]} />
        ))}
        {kLatencies.map(([title, half, most]) => (
          <Chart key={title} title={title} show={milliseconds}
            series={[{ name: "half within", points: pointsOf(moments, half) }, { name: "99 of 100 within", points: pointsOf(moments, most) }]} />
        ))}
        <Chart title="Recall of the codes, without rerank" series={named} show={(value) => value.toFixed(3)} from={Math.floor(least * 10 - 0.5) / 10} to={1} />
      </div>
      {named.length === 0 && (
        <>
          <p class="quiet">No recall has been measured. Collections that store floats are measured by a server started with:</p>
          <Commands label="To measure recall" lines={["bebr-server --recall_monitor_interval_s 60 ..."]} />
        </>
      )}
    </>
  );
}
