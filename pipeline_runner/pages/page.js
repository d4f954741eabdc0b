"use strict";
// Nothing here is needed to read the page: rows are found and sorted, and a stage is shown wherever it stands.
for (const input of document.querySelectorAll("[data-filters]")) {
  input.closest("[hidden]").hidden = false;
  const rows = document.getElementById(input.dataset.filters).tBodies[0].rows;
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
const worth = (row, at) => {
  const cell = row.cells[at];
  const text = cell.dataset.by ?? cell.textContent.replaceAll(",", "").trim();
  return text !== "" && !isNaN(text) ? Number(text) : text;
};
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map(row => [worth(row, at), row]);
      rows.sort(([a], [b]) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? 1 : -1));
      if (down) rows.reverse();
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}
const places = {};
for (const place of document.querySelectorAll("[data-stage]")) (places[`s ${place.dataset.stage}`] ??= []).push(place);
const light = (event, on) => {
  const stage = event.target.closest?.("[data-stage]")?.dataset.stage;
  for (const place of places[`s ${stage}`] ?? []) place.classList.toggle("lit", on);
};
document.addEventListener("mouseover", event => light(event, true));
document.addEventListener("mouseout", event => light(event, false));
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(one => (one.open = true)));
