// What pages do beyond standing there: tables that sort, filter and are copied, and runs shown one at a time.
// Without it everything on the page can be read. It asks nobody for anything, and the page's policy allows no other script.
"use strict";

// The texts that tables are copied as. A table is {heads, rows}: `heads` are {text, number}, rows {group} or {cells},
// and cells {text, bold}, where `text` of a mean with its deviation has " ± " between them.

const TABLE_TEXT = {
  csv(table) {
    const grouped = table.rows.some((row) => row.group !== undefined);
    const spread = table.heads.map((_, place) => table.rows.some((row) => row.cells?.[place]?.text.includes(" ± ")));
    const lines = [[
      ...(grouped ? ["group"] : []),
      ...table.heads.flatMap((head, place) => (spread[place] ? [head.text, `${head.text} ±`.trim()] : [head.text])),
    ]];
    let group = "";
    for (const row of table.rows) {
      if (row.group !== undefined) {
        group = row.group;
        continue;
      }
      const cells = row.cells.flatMap((cell, place) => {
        if (!spread[place]) return [cell.text];
        const [mean, deviation = ""] = cell.text.split(" ± ");
        return [mean, deviation];
      });
      lines.push([...(grouped ? [group] : []), ...cells]);
    }
    return lines.map((line) => line.map(TABLE_TEXT.csvCell).join(",") + "\r\n").join("");
  },

  csvCell(text) {
    const plain = text.replace(/−(?=[\d.])/g, "-").trim();
    const number = /^[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?(e[+-]?\d+)?$/i.test(plain);
    // Spreadsheets compute what begins so.
    const safe = number ? plain.replaceAll(",", "") : /^[=+\-@\t\r]/.test(plain) ? `'${plain}` : plain;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  },

  markdown(table) {
    const grouped = table.rows.some((row) => row.group !== undefined);
    const escaped = (text) => text.replace(/\s+/g, " ").replace(/[\\`*_[\]<>|~$&]/g, "\\$&");
    const line = (cells) => `| ${cells.join(" | ")} |\n`;
    const heads = [...(grouped ? [{ text: "", number: false }] : []), ...table.heads];
    let text = line(heads.map((head) => escaped(head.text))) + line(heads.map((head) => (head.number ? "---:" : ":---")));
    let group = "";
    for (const row of table.rows) {
      if (row.group !== undefined) {
        group = row.group;
        continue;
      }
      const cells = row.cells.map((cell) => (cell.bold ? `**${escaped(cell.text)}**` : escaped(cell.text)));
      text += line([...(grouped ? [escaped(group)] : []), ...cells]);
    }
    return text;
  },

  latex(table) {
    const words = {
      "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}",
      ">": "\\textgreater{}", "|": "\\textbar{}", '"': "\\textquotedbl{}", "±": "$\\pm$", "−": "$-$", "τ": "$\\tau$",
      "√": "$\\surd$", "²": "\\textsuperscript{2}", "×": "$\\times$", "≤": "$\\leq$", "≥": "$\\geq$",
    };
    const escaped = (text) =>
      text.replace(/\s+/g, " ").replace(/[\\~^<>|"±−τ√²×≤≥&%$#_{}]/g, (character) => words[character] ?? `\\${character}`);
    // After \\ LaTeX takes a bracket or a star for its own.
    const first = (text) => text.replace(/^[[*]/, "{$&}");
    const line = (cells) => `${first(cells.join(" & "))} \\\\\n`;
    let text = `% \\usepackage{booktabs}, \\usepackage[T1]{fontenc}\n\\begin{tabular}{${
      table.heads.map((head) => (head.number ? "r" : "l")).join("")}}\n\\toprule\n`;
    text += line(table.heads.map((head) => escaped(head.text))) + "\\midrule\n";
    let begun = false;
    for (const row of table.rows) {
      if (row.group === undefined) {
        text += line(row.cells.map((cell) => (cell.bold ? `\\textbf{${escaped(cell.text)}}` : escaped(cell.text))));
      } else {
        text += `${begun ? "\\midrule\n" : ""}${
          row.group ? `\\multicolumn{${table.heads.length}}{l}{\\textit{${escaped(row.group)}}} \\\\\n` : ""}`;
      }
      begun = true;
    }
    return `${text}\\bottomrule\n\\end{tabular}\n`;
  },
};

// What a cell or heading says, its small print set apart by spaces.
function textOf(node) {
  if (node.nodeType === Node.TEXT_NODE) return node.data;
  if (node.nodeType !== Node.ELEMENT_NODE || node.classList.contains("mark")) return "";
  const inside = [...node.childNodes].map(textOf).join("");
  return node.tagName === "SMALL" || node.tagName === "SPAN" ? ` ${inside} ` : inside;
}

const clean = (text) => text.replace(/\s+/g, " ").replace(/ ([,.;:])/g, "$1").trim();

// The columns of a table, from its headings with what spans them.
function columnsOf(table) {
  const grid = [];
  [...table.tHead.rows].forEach((row, line) => {
    grid[line] ??= [];
    let place = 0;
    for (const cell of row.cells) {
      while (grid[line][place]) place += 1;
      for (let down = 0; down < cell.rowSpan; down += 1) {
        for (let across = 0; across < cell.colSpan; across += 1) {
          (grid[line + down] ??= [])[place + across] = cell;
        }
      }
      place += cell.colSpan;
    }
  });
  const leaves = grid[grid.length - 1] ?? [];
  return leaves.map((cell, place) => ({
    cell,
    title: clean([...new Set(grid.map((line) => line[place]))].map(textOf).join(" ")),
  }));
}

// The rows of a body that belong together: one, and those of class "more" below it. Headings of groups are apart.
function unitsOf(body) {
  const units = [];
  for (const row of body.rows) {
    if (row.querySelector("th[scope=rowgroup]")) continue;
    if (row.classList.contains("more") && units.length) units[units.length - 1].push(row);
    else units.push([row]);
  }
  return units;
}

function valueOf(unit, place) {
  const cell = unit[0].cells[place];
  if (!cell) return null;
  const text = cell.dataset.value ?? clean(textOf(cell));
  if (text === "" || text === "–") return null;
  const number = /^[+-]?\d[\d,]*\.?\d*(e[+-]?\d+)?/i.exec(text.replace("−", "-"));
  return { text, number: number && !/^\d+[a-z]/i.test(text) ? Number(number[0].replaceAll(",", "")) : null };
}

function isNumeric(units, place) {
  const values = units.map((unit) => valueOf(unit, place)).filter((value) => value !== null);
  return values.length > 0 && values.every((value) => value.number !== null);
}

function sortTable(table, place, direction) {
  for (const body of table.tBodies) {
    const units = unitsOf(body);
    units.forEach((unit, order) => (unit[0].dataset.order ??= order));
    const numeric = isNumeric(units, place);
    const keyed = units.map((unit) => ({ unit, value: valueOf(unit, place), order: Number(unit[0].dataset.order) }));
    keyed.sort((one, other) => {
      if (direction === "none") return one.order - other.order;
      // What has no value comes last either way.
      if (one.value === null || other.value === null) {
        return (one.value === null) - (other.value === null) || one.order - other.order;
      }
      const by = numeric
        ? one.value.number - other.value.number
        : one.value.text.localeCompare(other.value.text, "en", { numeric: true });
      return (direction === "ascending" ? by : -by) || one.order - other.order;
    });
    body.append(...keyed.flatMap(({ unit }) => unit));
  }
}

function filterTable(table, wanted) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0, all = 0;
  for (const body of table.tBodies) {
    const heading = body.querySelector("th[scope=rowgroup]");
    const group = heading ? clean(textOf(heading)).toLowerCase() : "";
    let here = 0;
    for (const unit of unitsOf(body)) {
      const said = `${group} ${unit.map((row) => clean(textOf(row))).join(" ")}`.toLowerCase();
      const hidden = !words.every((word) => said.includes(word));
      unit.forEach((row) => (row.hidden = hidden));
      here += !hidden;
      all += 1;
    }
    if (heading) heading.parentElement.hidden = here === 0;
    shown += here;
  }
  return words.length ? `${shown} of ${all} rows` : "";
}

// The table as it is shown: sorted, without the rows that are filtered out.
function readTable(table) {
  const columns = columnsOf(table);
  const rows = [];
  for (const body of table.tBodies) {
    const units = unitsOf(body).filter(([row]) => !row.hidden);
    if (!units.length) continue;
    const heading = body.querySelector("th[scope=rowgroup]");
    if (heading || table.tBodies.length > 1) rows.push({ group: heading ? clean(textOf(heading)) : "" });
    for (const [row] of units) {
      const cells = [...row.cells].map((cell) => ({
        text: clean(textOf(cell)),
        bold: cell.querySelector("b") !== null && clean(textOf(cell)).startsWith(cell.querySelector("b").textContent),
      }));
      rows.push({ cells: columns.map((_, place) => cells[place] ?? { text: "", bold: false }) });
    }
  }
  return { heads: columns.map(({ cell, title }) => ({ text: title, number: !cell.classList.contains("text") })), rows };
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Some browsers give pages on disk no clipboard, but the older way of copying.
    const area = document.createElement("textarea");
    area.value = text;
    area.setAttribute("aria-label", "Text to copy");
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    if (copied) area.remove();
    else area.className = "to-copy";
    return copied;
  }
}

function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const FEWEST_TO_FILTER = 6;

function equipTable(table) {
  if (table.dataset.equipped || !table.tHead || !table.tBodies.length) return;
  table.dataset.equipped = "yes";
  const region = table.closest(".scroll") ?? table;
  const name = region.getAttribute("aria-label") ?? "table";
  const units = [...table.tBodies].flatMap(unitsOf);
  columnsOf(table).forEach(({ cell, title }, place) => {
    if (units.length < 2 || !title) return;
    const button = made("button", { type: "button", className: "sort" }, ...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const before = cell.getAttribute("aria-sort");
      const order = isNumeric(units, place) ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
      const next = order[(order.indexOf(before ?? "none") + 1) % order.length];
      table.tHead.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      if (next !== "none") cell.setAttribute("aria-sort", next);
      sortTable(table, place, next);
    });
  });
  const said = made("output", { className: "said" });
  const tools = made("div", { className: "tools", role: "group" });
  tools.setAttribute("aria-label", `Tools of the table: ${name}`);
  if (units.length >= FEWEST_TO_FILTER) {
    const field = made("input", { type: "search", placeholder: "Words that rows have" });
    field.addEventListener("input", () => (said.textContent = filterTable(table, field.value)));
    tools.append(made("label", {}, "Filter ", field));
  }
  for (const [kind, title] of [["csv", "CSV"], ["markdown", "Markdown"], ["latex", "LaTeX"]]) {
    const button = made("button", { type: "button", title: `Copy the rows that are shown as ${title}` }, `Copy ${title}`);
    button.addEventListener("click", async () => {
      const copied = await copyText(TABLE_TEXT[kind](readTable(table)));
      said.textContent = copied ? `Copied as ${title}` : "The browser does not let pages copy: the text is at the end";
    });
    tools.append(button);
  }
  tools.append(said);
  region.before(tools);
}

// One kept step of a run at a time, chosen by a slider; without this script all stand in a row.
function equipSteps(run) {
  const steps = [...run.querySelectorAll(".steps figure")];
  if (steps.length < 2 || run.querySelector(".steps input")) return;
  const slider = made("input", { type: "range", min: 0, max: steps.length - 1, step: 1, value: steps.length - 1 });
  const shown = made("output");
  const show = () => {
    steps.forEach((step, place) => (step.hidden = place !== Number(slider.value)));
    shown.textContent = steps[slider.value].dataset.step;
    slider.setAttribute("aria-valuetext", steps[slider.value].dataset.step);
  };
  slider.addEventListener("input", show);
  run.querySelector(".steps").prepend(made("label", { className: "slider" }, "Kept step ", slider, " ", shown));
  show();
}

function equipCommand(run) {
  const button = run.querySelector(".copy[hidden]");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = button.previousElementSibling.textContent;
    button.textContent = (await copyText(text)) ? "Copied" : "Select it by hand";
  });
}

// The picture that stands among all synthetic images already, and is in the file once.
function borrowPictures(run) {
  for (const figure of run.querySelectorAll("figure[data-picture]")) {
    const picture = document.getElementById(figure.dataset.picture);
    if (!picture || figure.querySelector("img")) continue;
    const copy = picture.cloneNode();
    copy.removeAttribute("id");
    figure.querySelector(".elsewhere").remove();
    figure.prepend(copy);
  }
}

const PAGE_TITLE = typeof document === "undefined" ? "" : document.title;

function showView() {
  const run = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!run?.matches(".run")) {
    document.title = PAGE_TITLE;
    return;
  }
  const kept = run.querySelector("script");
  if (kept) run.innerHTML = kept.textContent;
  const heading = run.querySelector("h2");
  document.title = `${clean(textOf(heading))}: ${PAGE_TITLE}`;
  borrowPictures(run);
  equipSteps(run);
  equipCommand(run);
  run.querySelectorAll("table").forEach(equipTable);
  window.scrollTo(0, 0);
  heading.focus({ preventScroll: true });
}

if (typeof document !== "undefined") {
  document.querySelectorAll("main > section table").forEach(equipTable);
  window.addEventListener("hashchange", showView);
  showView();
}
