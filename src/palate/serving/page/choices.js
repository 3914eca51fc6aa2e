// The row of filters and models above the recommendations.

import { h, icon } from "./dom.js";

const plain = (name) => name.toLowerCase();

/** What is chosen; `changed` is called after each change, `compared` when comparing is switched. */
export class Choices {
  constructor(holder, { changed, compared }) {
    this.chosen = { categories: new Set(), brands: new Set(), price_min: null, price_max: null, in_stock: false };
    this.changed = () => {
      this.tell();
      changed();
    };
    this.category = this.picker("Category", "categories");
    this.brand = this.picker("Brand", "brands");
    this.price = this.prices();
    this.stock = h("input", { type: "checkbox", onchange: () => this.put("in_stock", this.stock.checked) });
    this.clear = h("button", { type: "button", class: "link", hidden: true, onclick: () => this.reset() }, "Clear filters");
    this.compare = h("button", { type: "button", class: "pill", "aria-pressed": "false", hidden: true, onclick: () => compared(this.compare.getAttribute("aria-pressed") !== "true") }, "Compare models");
    holder.replaceChildren(
      this.category.pop,
      this.brand.pop,
      this.price.pop,
      h("label", { class: "pill check" }, this.stock, h("span", {}, "In stock")),
      this.compare,
      this.clear,
    );
  }

  put(name, value) {
    this.chosen[name] = value;
    this.changed();
  }

  pop(name, ...inside) {
    const label = h("span", {}, name);
    return { label, pop: h("details", { class: "pop" }, h("summary", { class: "pill" }, label, icon("down")), h("div", { class: "panel" }, ...inside)) };
  }

  picker(name, kind) {
    const list = h("div", { class: "options", role: "group", "aria-label": name });
    const find = h("input", { type: "search", placeholder: `Find a ${name.toLowerCase()}`, "aria-label": `Find a ${name.toLowerCase()}`, oninput: () => this.narrow(list, find.value) });
    const picker = { ...this.pop(name, find, list), list, find, name, kind, offered: [] };
    picker.pop.addEventListener("toggle", () => picker.pop.open && this.fillOptions(picker));
    return picker;
  }

  narrow(list, typed) {
    const wanted = typed.trim().toLowerCase();
    for (const option of list.children) option.hidden = !option.textContent.toLowerCase().includes(wanted);
  }

  prices() {
    const bound = (name, label) =>
      h("label", { class: "field" }, h("span", {}, label), h("input", { type: "number", min: 0, step: "any", inputmode: "decimal", "data-bound": name, onchange: (event) => this.put(name, event.target.value === "" ? null : Math.max(0, Number(event.target.value))) }));
    return this.pop("Price", h("div", { class: "bounds" }, bound("price_min", "From"), bound("price_max", "To")));
  }

  /** Offer what the catalogue can be filtered by, as the server counted it. */
  offer({ categories, brands, price }) {
    this.category.offered = categories;
    this.brand.offered = brands;
    for (const picker of [this.category, this.brand]) if (!picker.pop.open) this.fillOptions(picker);
    this.price.pop.hidden = price === null;
    for (const bound of this.price.pop.querySelectorAll("input")) bound.placeholder = price ? price[bound.dataset.bound === "price_min" ? "min" : "max"] : "";
  }

  fillOptions(picker) {
    const names = picker.offered.map(({ name }) => name);
    for (const name of this.chosen[picker.kind]) if (!names.includes(name)) names.push(name);
    picker.pop.hidden = names.length < 2;
    picker.find.hidden = names.length < 9;
    const option = (value) => {
      const input = h("input", { type: "checkbox", value, checked: this.chosen[picker.kind].has(value) });
      input.addEventListener("change", () => {
        const chosen = new Set(this.chosen[picker.kind]);
        if (input.checked) chosen.add(value);
        else chosen.delete(value);
        this.put(picker.kind, chosen);
      });
      return h("label", { class: "option" }, input, h("bdi", {}, value));
    };
    picker.list.replaceChildren(...names.map(option));
    this.narrow(picker.list, picker.find.value);
  }

  tell() {
    for (const picker of [this.category, this.brand]) {
      const chosen = [...this.chosen[picker.kind]];
      picker.label.textContent = chosen.length === 0 ? picker.name : chosen.length === 1 ? chosen[0] : `${picker.name} · ${chosen.length}`;
      picker.pop.classList.toggle("on", chosen.length > 0);
    }
    const { price_min: low, price_max: high } = this.chosen;
    this.price.label.textContent = low === null && high === null ? "Price" : `Price ${low ?? 0}–${high ?? "any"}`;
    this.price.pop.classList.toggle("on", low !== null || high !== null);
    this.clear.hidden = this.filter === null;
  }

  reset() {
    this.chosen = { categories: new Set(), brands: new Set(), price_min: null, price_max: null, in_stock: false };
    for (const box of [...this.category.list.querySelectorAll("input"), ...this.brand.list.querySelectorAll("input"), this.stock]) box.checked = false;
    for (const bound of this.price.pop.querySelectorAll("input")) bound.value = "";
    this.category.pop.querySelector("summary").focus();
    this.changed();
  }

  /** The filter as the server takes it, null when nothing is chosen. */
  get filter() {
    const { categories, brands, price_min, price_max, in_stock } = this.chosen;
    const filter = {};
    if (categories.size) filter.categories = [...categories];
    if (brands.size) filter.brands = [...brands];
    if (price_min !== null) filter.price_min = price_min;
    if (price_max !== null) filter.price_max = price_max;
    if (in_stock) filter.in_stock = true;
    return Object.keys(filter).length ? filter : null;
  }

  /** Whether the filter keeps an item that the page itself lists. */
  keeps(item) {
    const { price_min, price_max, in_stock } = this.chosen;
    // The server tells no capitals from small letters.
    const [categories, brands] = [this.chosen.categories, this.chosen.brands].map((names) => new Set([...names].map(plain)));
    return (
      (!categories.size || item.categories.some((category) => categories.has(plain(category)))) &&
      (!brands.size || (item.brand !== null && brands.has(plain(item.brand)))) &&
      (price_min === null || (item.price !== null && item.price >= price_min)) &&
      (price_max === null || (item.price !== null && item.price <= price_max)) &&
      (!in_stock || item.inStock)
    );
  }

  /** Show whether two models stand side by side. */
  comparing(on) {
    this.compare.setAttribute("aria-pressed", String(on));
    this.compare.textContent = on ? "One model" : "Compare models";
  }
}
