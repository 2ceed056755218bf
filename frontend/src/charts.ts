/* Charts of energy: a load profile by interval, or bars by day. Data come as parallel arrays from `data-url`. */
import uPlot from "uplot";

type Profile = {
  starts_at_s: number[];
  energy_wh: (number | null)[];
  is_estimated: boolean[];
  interval_s: number;
  power_unit: string;
};
type Bars = { labels: string[]; series: { name: string; energy_kwh: (number | null)[] }[] };

const cssColour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const SERIES_COUNT = 6;

/* Colours of series, brighter where the ground is dark. */
const palette = (): string[] => Array.from({ length: SERIES_COUNT }, (_, i) => cssColour(`--series-${i + 1}`));

const AXIS_LEAST_PX = 48;
const DIGIT_PX = 7;

const axes = (unit: string): [uPlot.Axis, uPlot.Axis] => {
  const common = { stroke: cssColour("--muted"), grid: { stroke: cssColour("--line"), width: 1 } };
  const value: uPlot.Axis = {
    ...common,
    size: (_, texts) => Math.max(AXIS_LEAST_PX, ...(texts ?? []).map((text) => text.length * DIGIT_PX + 20)),
    values: (_, ticks) => ticks.map((tick) => `${tick.toLocaleString("en")} ${unit}`),
  };
  return [common, value];
};

const timeAxes = (unit: string): uPlot.Axis[] => {
  const [time, value] = axes(unit);
  return [{ ...time, values: TIME_TICKS }, value];
};

const observeWidth = (box: HTMLElement, plot: uPlot): void => {
  new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: plot.height })).observe(box);
};

const two = (n: number): string => String(n).padStart(2, "0");

const dateIn = (zone: string | undefined, at: number): Date =>
  zone ? uPlot.tzDate(new Date(at * 1000), zone) : new Date(at * 1000);

const timeText = (date: Date): string =>
  `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;

/* Smallest step in seconds, its text, and what is said where year or day begin anew: no a.m., no month before day. */
const TIME_TICKS: uPlot.Axis.Values = [
  [86400 * 28, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
  [86400, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
];

const sayEmpty = (box: HTMLElement): void => {
  box.textContent = box.dataset["empty"] ?? "";
  box.classList.add("chart-empty");
};

const drawProfile = (box: HTMLElement, data: Profile): void => {
  if (data.starts_at_s.length === 0) return sayEmpty(box);
  const toKw = 3600 / data.interval_s / 1000;
  const power = data.energy_wh.map((e) => (e === null ? null : e * toKw));
  const measured = power.map((p, i) => (data.is_estimated[i] ? null : p));
  const estimated = power.map((p, i) =>
    data.is_estimated[i] || data.is_estimated[i - 1] || data.is_estimated[i + 1] ? p : null,
  );
  const zone = box.dataset["zone"];
  const colours = palette();
  const options: uPlot.Options = {
    width: box.clientWidth,
    height: Number(box.dataset["height"] ?? 260),
    tzDate: (at) => dateIn(zone, at),
    scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.05 : 1] } },
    series: [
      { label: box.dataset["time"] ?? "", value: (_, v) => (v === null ? "–" : timeText(dateIn(zone, v))) },
      {
        label: box.dataset["measured"] ?? "",
        stroke: colours[0],
        fill: `${colours[0]}22`,
        width: 1.5,
        paths: uPlot.paths.stepped?.({ align: 1 }),
        value: (_, v) => (v === null ? "–" : `${v.toFixed(3)} ${data.power_unit}`),
      },
      {
        label: box.dataset["estimated"] ?? "",
        stroke: colours[1],
        dash: [5, 3],
        width: 1.5,
        paths: uPlot.paths.stepped?.({ align: 1 }),
        value: (_, v) => (v === null ? "–" : `${v.toFixed(3)} ${data.power_unit}`),
      },
    ],
    axes: timeAxes(data.power_unit),
  };
  const plot = new uPlot(options, [data.starts_at_s, measured, estimated] as uPlot.AlignedData, box);
  observeWidth(box, plot);
};

const drawBars = (box: HTMLElement, data: Bars): void => {
  if (data.labels.length === 0) return sayEmpty(box);
  const colours = palette();
  const xs = data.labels.map((_, i) => i);
  const totals: number[] = xs.map(() => 0);
  const stacked = data.series.map((s) =>
    s.energy_kwh.map((e, i) => {
      totals[i] = (totals[i] ?? 0) + (e ?? 0);
      return e === null && totals[i] === 0 ? null : totals[i] ?? null;
    }),
  );
  const options: uPlot.Options = {
    width: box.clientWidth,
    height: Number(box.dataset["height"] ?? 260),
    scales: { x: { time: false, range: [-0.6, xs.length - 0.4] }, y: { range: (_, __, high) => [0, high > 0 ? high * 1.05 : 1] } },
    series: [
      { label: box.dataset["time"] ?? "", value: (_, v) => (v === null ? "–" : data.labels[v] ?? "") },
      ...data.series
        .map((s, i) => ({
          label: s.name,
          stroke: colours[i % SERIES_COUNT] as string,
          fill: colours[i % SERIES_COUNT] as string,
          paths: uPlot.paths.bars?.({ size: [0.8, 60] }),
          points: { show: false },
          value: (_: uPlot, __: number, ___: number, at: number | null) => {
            const own = at === null ? null : s.energy_kwh[at];
            return own === null || own === undefined ? "–" : `${own.toFixed(1)} kWh`;
          },
        }))
        .reverse(),
    ],
    axes: [{ ...axes("")[0], values: (_, ticks) => ticks.map((t) => data.labels[t]?.slice(5) ?? "") }, axes("kWh")[1]],
  };
  const plot = new uPlot(options, [xs, ...stacked.reverse()] as uPlot.AlignedData, box);
  observeWidth(box, plot);
};

export const drawChart = async (box: HTMLElement): Promise<void> => {
  const url = box.dataset["url"];
  if (!url) return;
  box.replaceChildren();
  box.classList.remove("chart-empty");
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok) return sayEmpty(box);
  const data: unknown = await answer.json();
  if (box.dataset["chart"] === "bars") drawBars(box, data as Bars);
  else drawProfile(box, data as Profile);
};
