// A line over time. Its words are HTML, so that they keep their size on narrow screens; the picture's content is in its caption.
export interface Series { name: string; points: { at: number; value: number }[] }

const kWidth = 600, kHeight = 120;

interface Props { title: string; series: Series[]; show: (value: number) => string; from?: number; to?: number }

export function Chart({ title, series, show, from = 0, to }: Props) {
  const all = series.flatMap((one) => one.points);
  const begin = Math.min(...all.map((point) => point.at)), end = Math.max(...all.map((point) => point.at));
  const top = to ?? (Math.max(...all.map((point) => point.value), from) || 1);
  const x = (at: number) => (end > begin ? ((at - begin) / (end - begin)) * kWidth : kWidth);
  const y = (value: number) => kHeight - 2 - ((value - from) / (top - from || 1)) * (kHeight - 4);
  const minutes = Math.round((end - begin) / 6000) / 10;
  return (
    <figure class="chart">
      <figcaption>
        <strong>{title}</strong>
        {series.map((one, i) => {
          const last = one.points.at(-1);
          return last && (
            <span key={one.name}>
              {series.length > 1 && <i class={`swatch line-${i % 6}`} aria-hidden="true" />}
              {one.name && `${one.name}: `}now {show(last.value)}, highest {show(Math.max(...one.points.map((point) => point.value)))}
            </span>
          );
        })}
      </figcaption>
      {all.length < 2 ? <p class="quiet">A line is drawn from two values on.</p> : (
        <>
          <svg viewBox={`0 0 ${kWidth} ${kHeight}`} preserveAspectRatio="none" aria-hidden="true">
            {series.map((one, i) => (
              <polyline key={one.name} class={`line-${i % 6}`}
                points={one.points.map((point) => `${x(point.at).toFixed(1)},${y(point.value).toFixed(1)}`).join(" ")} />
            ))}
          </svg>
          <p class="axis"><span>{minutes} min ago</span><span>{show(from)} to {show(top)}</span><span>now</span></p>
        </>
      )}
    </figure>
  );
}
