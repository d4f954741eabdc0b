"use strict";
// Nothing here is needed to read the page: rows are found and sorted, and a stage is shown wherever it stands.
const search = (table, wanted) => {
  for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted.toLowerCase());
};
const worth = (row, at) => {
  const cell = row.cells[at];
  const text = cell.dataset.by ?? cell.textContent.replaceAll(",", "").trim();
  return text !== "" && !isNaN(text) ? Number(text) : text;
};
const sort = (table, at, way) => {
  const heads = [...table.tHead.rows[0].cells];
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[at].setAttribute("aria-sort", way);
  const rows = [...table.tBodies[0].rows].map(row => [worth(row, at), row]);
  rows.sort(([a], [b]) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? 1 : -1));
  if (way === "descending") rows.reverse();
  table.tBodies[0].append(...rows.map(([, row]) => row));
};
const dress = page => {
  for (const tools of page.querySelectorAll(".tools")) tools.hidden = false;
  for (const head of page.querySelectorAll("table.sortable thead th")) {
    const button = page.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
  }
};
const light = (event, on) => {
  const stage = event.target.closest?.("[data-stage]")?.dataset.stage;
  if (stage === undefined) return;
  for (const place of document.querySelectorAll(`[data-stage="${CSS.escape(stage)}"]`)) place.classList.toggle("lit", on);
};
dress(document);
document.addEventListener("input", event => {
  const table = document.getElementById(event.target.dataset.filters);
  if (table) search(table, event.target.value);
});
document.addEventListener("click", event => {
  const head = event.target.closest?.("table.sortable thead th");
  if (!head) return;
  const way = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
  sort(head.closest("table"), head.cellIndex, way);
});
document.addEventListener("mouseover", event => light(event, true));
document.addEventListener("mouseout", event => light(event, false));
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(one => (one.open = true)));
