"use strict";
// The page is whole without this: it only sorts and filters tables and folds the tree.

const words = new Intl.Collator("en", { numeric: true });

function key(row, column, isNumber) {
  const cell = row.cells[column];
  return isNumber ? Number(cell.dataset.value) : cell.textContent;
}

/** Orders all rows of a table; as many as before stay in its first body. */
function sort(table, column, isNumber, sign) {
  const bodies = [...table.tBodies];
  const first = bodies[0].rows.length;
  const keyed = bodies.flatMap((body) => [...body.rows]).map((row) => [key(row, column, isNumber), row]);
  keyed.sort(([a], [b]) => sign * (isNumber ? a - b : words.compare(a, b)));
  const rows = keyed.map(([, row]) => row);
  bodies[0].replaceChildren(...rows.slice(0, first));
  if (bodies[1]) bodies[1].replaceChildren(...rows.slice(first));
}

function makeSortable(table) {
  if (table.rows.length < 3) return;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const isNumber = head.classList.contains("number");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      // Numbers begin with the largest, words with A.
      const next = { ascending: "descending", descending: "ascending" }[head.ariaSort] ?? (isNumber ? "descending" : "ascending");
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", next);
      sort(table, column, isNumber, next === "ascending" ? 1 : -1);
    });
  });
}

function makeFilter(list) {
  const rows = [...list.querySelectorAll("tbody tr")].map((row) => [row, row.textContent.toLowerCase()]);
  const line = document.createElement("label");
  line.className = "filter";
  const box = document.createElement("input");
  box.type = "search";
  box.placeholder = "part of a line";
  const found = document.createElement("span");
  found.ariaLive = "polite";
  line.append("Filter", box, found);
  list.prepend(line);
  box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase();
    let shown = 0;
    for (const [row, text] of rows) {
      row.hidden = !text.includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    list.classList.toggle("filtered", wanted !== "");
    found.textContent = wanted === "" ? "" : `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
  });
}

function makeFolds(tree) {
  const folding = [...tree.querySelectorAll("details")];
  if (folding.length < 2) return;
  const line = document.createElement("div");
  line.className = "folds";
  for (const [label, open] of [["Unfold all", true], ["Fold all", false]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => folding.forEach((details) => { details.open = open; }));
    line.append(button);
  }
  tree.before(line);
}

document.querySelectorAll("table").forEach(makeSortable);
document.querySelectorAll(".list.long").forEach(makeFilter);
document.querySelectorAll(".tree").forEach(makeFolds);
