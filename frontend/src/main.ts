/* What pages need beyond HTML: charts, range buttons, and parts that look again while something is under way. */
import { drawChart } from "./charts";

const startCharts = (root: ParentNode): void => {
  for (const box of root.querySelectorAll<HTMLElement>("[data-chart]")) {
    if (box.dataset["drawn"]) continue;
    box.dataset["drawn"] = "1";
    void drawChart(box);
  }
};

const onRangeButton = (event: Event): void => {
  const button = (event.target as HTMLElement).closest<HTMLElement>("[data-range-for]");
  if (!button) return;
  const box = document.getElementById(button.dataset["rangeFor"] ?? "");
  if (!box) return;
  for (const other of button.parentElement?.children ?? []) other.removeAttribute("aria-pressed");
  button.setAttribute("aria-pressed", "true");
  box.dataset["url"] = button.dataset["url"];
  void drawChart(box);
};

const onMenuButton = (event: Event): void => {
  const button = (event.target as HTMLElement).closest<HTMLElement>("[data-menu]");
  if (!button) return;
  const isOpen = document.body.classList.toggle("menu-open");
  button.setAttribute("aria-expanded", String(isOpen));
};

document.addEventListener("click", onRangeButton);
document.addEventListener("click", onMenuButton);
document.addEventListener("htmx:afterSwap", (event) => startCharts(event.target as HTMLElement));
document.addEventListener("DOMContentLoaded", () => startCharts(document));
if (document.readyState !== "loading") startCharts(document);
