// A table whose rows are kept: each update changes what differs, and nothing else.
import { attribute, h, s, size, text } from "./dom.js";
import { line } from "./series.js";

const WIDTH = 88, HEIGHT = 24;

export class Table {
  /** Columns: { key, label, hint, kind: "name" | "spark" | "bars" | "number" }. */
  constructor(host, columns, { caption, select } = {}) {
    this.columns = columns;
    this.select = select;
    this.rows = new Map();
    this.body = h("tbody");
    const heads = columns.map((column) =>
      h("th", { scope: "col", class: column.kind, title: column.hint }, column.label));
    host.replaceChildren(h("table", {}, h("caption", { class: "hidden" }, caption),
      h("thead", {}, h("tr", {}, heads)), this.body));
  }

  update(items) {
    const seen = new Set();
    let place = null;
    for (const item of items) {
      seen.add(item.name);
      let row = this.rows.get(item.name);
      if (!row) {
        row = this.make(item);
        this.rows.set(item.name, row);
      }
      const after = place ? place.nextSibling : this.body.firstChild;
      if (row.element !== after) this.body.insertBefore(row.element, after);
      place = row.element;
      this.fill(row, item);
    }
    for (const [name, row] of this.rows) {
      if (!seen.has(name)) { row.element.remove(); this.rows.delete(name); }
    }
  }

  make(item) {
    const cells = {};
    const element = h("tr", { "data-name": item.name });
    for (const column of this.columns) {
      const cell = h(column.kind === "name" ? "th" : "td", {
        class: column.kind, "data-label": column.label, "data-field": column.key,
        scope: column.kind === "name" ? "row" : null,
      });
      cells[column.key] = this.parts(cell, column, item);
      element.append(cell);
    }
    return { element, cells };
  }

  parts(cell, column, item) {
    if (column.kind === "name") {
      const mark = h("span", { class: "dot", "aria-hidden": "true" });
      const label = h("span", { class: "label" });
      const chip = h("span", { class: "chip", hidden: true });
      const name = this.select
        ? h("button", { type: "button", class: "link", onclick: () => this.select(item.name) }, label) : label;
      cell.append(mark, name, chip);
      return { cell, mark, label, chip };
    }
    if (column.kind === "spark") {
      const path = s("path", { class: "line" }), area = s("path", { class: "area" });
      const drawing = s("svg", { class: `spark ${column.key}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        width: WIDTH, height: HEIGHT, preserveAspectRatio: "none", "aria-hidden": "true" }, area, path);
      const value = h("span", { class: "value" });
      const small = h("span", { class: "small" });
      cell.append(drawing, h("span", { class: "figure" }, value, small));
      return { cell, path, area, value, small };
    }
    if (column.kind === "bars") {
      const bars = (column.parts ?? ["fill"]).map((part) => h("i", { class: part }));
      const bar = h("span", { class: "bar", "aria-hidden": "true" }, bars);
      const value = h("span", { class: "value" });
      cell.append(bar, value);
      return { cell, bars, bar, value };
    }
    cell.append(h("span", { class: "value" }));
    return { cell, value: cell.firstChild };
  }

  fill(row, item) {
    attribute(row.element, "class", item.class || null);
    for (const column of this.columns) {
      const parts = row.cells[column.key], value = item[column.key];
      if (column.kind === "name") {
        text(parts.label, item.label ?? item.name);
        attribute(parts.mark, "class", `dot ${item.state ?? ""}`);
        attribute(parts.mark, "title", item.why);
        parts.mark.hidden = !item.state;
        text(parts.chip, item.chip ?? "");
        parts.chip.hidden = !item.chip;
        attribute(parts.chip, "class", `chip ${item.chipClass ?? ""}`);
      } else if (column.kind === "spark") {
        const drawn = line(item.times, value.values, WIDTH, HEIGHT, value.top);
        attribute(parts.path, "d", drawn.line);
        attribute(parts.area, "d", drawn.area);
        text(parts.value, value.text);
        text(parts.small, value.small ?? "");
        attribute(parts.cell, "data-alarm", value.alarm ? "yes" : null);
      } else if (column.kind === "bars") {
        value.shares.forEach((share, place) =>
          size(parts.bars[place], "width", `${Math.min(Math.max(share ?? 0, 0), 1) * 100}%`));
        attribute(parts.bar, "class", `bar ${value.class ?? ""}`);
        text(parts.value, value.text);
      } else {
        text(parts.value, value.text ?? value);
        attribute(parts.cell, "data-alarm", value.alarm ? "yes" : null);
        attribute(parts.cell, "title", value.title);
      }
    }
  }
}
