"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const graph = $("graph"), canvas = $("canvas"), [svg, folded] = canvas.querySelectorAll("svg");
  const boxes = new Map(data.nodes.map((node) => [node.id, svg.getElementById(node.id)]));
  const index = new Map(data.nodes.map((node, k) => [node.id, k]));
  for (const one of [svg, folded]) one?.setAttribute("role", "group"); // an image would hide its nodes from screen readers
  const edgesAt = new Map(data.nodes.map((node) => [node.id, []]));
  for (const edge of svg.querySelectorAll("g.edge")) for (const id of [edge.dataset.from, edge.dataset.to]) edgesAt.get(id)?.push(edge);
  let selected = null, near = [];

  // -- small pieces of the page: text is always text, mathematics and steps come ready from the compiler --------------
  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children.filter((child) => child !== null));
    return made;
  };
  const ready = (tag, html, properties = {}) => Object.assign(element(tag, properties), { innerHTML: html });
  const heading = (text) => element("h3", { textContent: text });
  const amount = (value) => {
    if (value === null || value === undefined) return "–";
    const units = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
    const [scale, unit] = units.find(([limit]) => value >= limit) ?? [1, ""];
    return `${Number((value / scale).toPrecision(3))} ${unit}`.trim();
  };
  const duration = (seconds) => {
    if (seconds === null || seconds === undefined) return "–";
    return seconds >= 1e-3 ? `${(seconds * 1e3).toPrecision(3)} ms` : `${(seconds * 1e6).toPrecision(3)} µs`;
  };

  // -- pan and zoom ---------------------------------------------------------------------------------------------------
  const view = { x: 0, y: 0, scale: 1 };
  const isFolded = () => $("fold").getAttribute("aria-pressed") === "true";
  const size = () => (isFolded() ? folded : svg).viewBox.baseVal;
  const place = (moving = false) => {
    canvas.classList.toggle("moving", moving);
    canvas.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  };
  const fit = (moving = true) => {
    const room = graph.getBoundingClientRect(), { width, height } = size();
    view.scale = Math.min(1.6, 0.96 * Math.min(room.width / width, room.height / height));
    view.scale = Math.max(view.scale, 0.05);
    view.x = (room.width - width * view.scale) / 2;
    view.y = (room.height - height * view.scale) / 2;
    place(moving);
  };
  const zoom = (factor, x, y) => {
    const scale = Math.min(4, Math.max(0.03, view.scale * factor));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    place();
  };
  const middle = () => [graph.clientWidth / 2, graph.clientHeight / 2];
  const show = (id) => {
    if (isFolded()) fold(false);
    place(); // what still moves is measured where it will be
    const box = boxes.get(id).getBoundingClientRect(), room = graph.getBoundingClientRect();
    const inside = box.left > room.left + 20 && box.right < room.right - 20 && box.top > room.top + 20 && box.bottom < room.bottom - 20;
    if (inside && view.scale > 0.45) return;
    if (view.scale < 0.6) zoom(0.9 / view.scale, ...middle());
    const now = boxes.get(id).getBoundingClientRect();
    view.x += room.left + room.width / 2 - (now.left + now.width / 2);
    view.y += room.top + room.height / 2 - (now.top + now.height / 2);
    place(true);
  };
  graph.addEventListener("wheel", (event) => {
    event.preventDefault();
    const room = graph.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), event.clientX - room.left, event.clientY - room.top);
  }, { passive: false });
  const pointers = new Map();
  let travelled = 0;
  graph.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    pointers.set(event.pointerId, event);
    travelled = 0;
  });
  graph.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const others = [...pointers.values()].filter((one) => one.pointerId !== event.pointerId);
    if (others.length) {
      const room = graph.getBoundingClientRect(), other = others[0];
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      zoom(apart(event) / apart(before), (event.clientX + other.clientX) / 2 - room.left, (event.clientY + other.clientY) / 2 - room.top);
    } else {
      view.x += event.clientX - before.clientX;
      view.y += event.clientY - before.clientY;
      travelled += Math.abs(event.clientX - before.clientX) + Math.abs(event.clientY - before.clientY);
      graph.classList.toggle("dragged", travelled > 4);
      place();
    }
    pointers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
    graph.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      graph.classList.remove("dragged");
      setTimeout(() => { travelled = 0; }); // after the click that ends a drag, before one that no pointer made
    });
  }
  document.querySelector(".zoom").addEventListener("click", (event) => {
    const way = event.target.dataset.zoom;
    if (way === "fit") fit();
    else if (way) zoom(way === "in" ? 1.3 : 1 / 1.3, ...middle());
  });

  // -- layers: a second drawing has each as one box ------------------------------------------------------------------
  const fold = (folds) => {
    if (!folded) return;
    $("fold").setAttribute("aria-pressed", folds);
    svg.style.display = folds ? "none" : "";
    folded.style.display = folds ? "" : "none";
    fit(false);
  };
  if (folded) {
    $("fold").hidden = false;
    $("fold").addEventListener("click", () => fold(!isFolded()));
    folded.addEventListener("click", (event) => {
      const box = event.target.closest("g.node");
      if (!box || travelled > 4) return;
      const name = box.querySelector(".name")?.textContent;
      const inside = svg.querySelector(`g.layer[data-layer="${CSS.escape(name ?? "")}"]`)?.dataset.members.split(" ");
      fold(false);
      const last = inside?.at(-1) ?? data.nodes.find((node) => node.name === name)?.id;
      if (last) select(last, true);
    });
  }

  // -- panels ---------------------------------------------------------------------------------------------------------
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const open = (name) => {
    for (const tab of tabs) {
      const chosen = tab.id === `tab-${name}`;
      tab.setAttribute("aria-selected", chosen);
      tab.tabIndex = chosen ? 0 : -1;
      $(tab.getAttribute("aria-controls")).hidden = !chosen;
    }
  };
  for (const tab of tabs) tab.addEventListener("click", () => open(tab.id.slice(4)));
  document.querySelector(".tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    open(next.id.slice(4));
    next.focus();
    event.stopPropagation();
  });
  const chip = (k) => {
    const node = data.nodes[k];
    const made = element("button", { type: "button", textContent: node.name || node.label, className: node.gradient ? "gradient" : "" });
    made.addEventListener("click", () => select(node.id, true));
    return made;
  };
  const chips = (title, list) => (list.length ? [heading(title), element("div", { className: "chips" }, ...list.map(chip))] : []);
  const figures = (kernel) => element("div", { className: "figures" }, ...[
    [duration(kernel.seconds), "time"], [amount(kernel.flops), "FLOPs"], [amount(kernel.bytes), "bytes"],
    [kernel.seconds && kernel.flops ? `${amount(kernel.flops / kernel.seconds)}` : "–", "FLOP/s"],
  ].map(([value, what]) => element("div", {}, element("b", { textContent: value }), element("span", { textContent: what }))));
  const code = (kernel) => {
    const shown = element("pre", { tabIndex: 0 });
    const { text, llvm, assembly } = data.code[kernel.name];
    const texts = { "Loop IR": text, "LLVM IR": llvm, Assembly: assembly };
    const row = element("div", { className: "tabs", role: "group", ariaLabel: "Code" });
    for (const [title, lines] of Object.entries(texts)) {
      const button = element("button", { type: "button", textContent: title });
      button.addEventListener("click", () => {
        shown.textContent = lines;
        for (const other of row.children) other.setAttribute("aria-pressed", other === button);
      });
      row.append(button);
    }
    row.firstChild.click();
    return [row, shown];
  };
  const computes = (kernel) => element("div", { className: "computes" }, ...kernel.label.map((line) => element("code", { textContent: line })));
  const kernelPart = (k) => {
    const kernel = data.kernels[k];
    return [heading(`Kernel ${k + 1} of ${data.kernels.length}`), computes(kernel), figures(kernel), ...code(kernel)];
  };
  const nodePanel = (node) => {
    const kind = element("p", { className: "kind" },
      element("span", { className: node.gradient ? "gradient" : "forward", textContent: node.gradient ? "gradient" : node.kind }),
      ` · ${node.operator} · ${node.shape} ${node.dtype}`);
    const lines = node.sites.map((site) => element("div", { className: "source" },
      element("span", { className: "where", textContent: `${site.file}:${site.line}` }), element("code", { textContent: site.code })));
    const steps = node.steps.length ? [heading("Step of the chain rule"), stepList(node.steps)] : [];
    const why = node.why ? [heading("Why it is here"), element("pre", { className: "why", textContent: node.why })] : [];
    const kernel = node.kernel === null ? [] : kernelPart(node.kernel);
    return [
      element("h2", { textContent: node.name || node.label }), kind, ready("div", node.math, { className: "math" }),
      ...(lines.length ? [heading("Written at"), ...lines] : []), ...steps, ...why, ...chips("Made of", node.operands),
      ...chips("Used by", node.users), ...kernel,
    ];
  };
  const stepList = (steps) => {
    const list = element("ol", { className: "steps" });
    for (const k of steps) {
      const { html, number, node } = data.steps[k];
      const item = ready("li", html);
      item.dataset.number = number;
      if (node !== null) {
        const { id, name, label } = data.nodes[node];
        item.dataset.node = id;
        item.addEventListener("click", () => select(id, true));
        if (number) item.prepend(element("button", { type: "button", className: "number", textContent: number, ariaLabel: `Step ${number}: show ${name || label}` }));
      } else if (number) item.prepend(element("span", { className: "number", textContent: number }));
      list.append(item);
    }
    return list;
  };

  // -- selection ------------------------------------------------------------------------------------------------------
  const select = (id, travel = false) => {
    if (selected) boxes.get(selected)?.classList.remove("selected");
    for (const one of near) one.classList.remove("near");
    near = [];
    canvas.classList.toggle("focused", id !== null);
    for (const line of document.querySelectorAll(".line, #panel-derivation li[data-node]")) line.setAttribute("aria-current", line.dataset.node === id);
    selected = id;
    if (id === null) {
      $("panel-node").replaceChildren(element("p", { className: "nothing", textContent: "Choose a node of the graph." }));
      return;
    }
    const node = data.nodes[index.get(id)], box = boxes.get(id);
    box.classList.add("selected");
    near = [...[...node.operands, ...node.users].map((k) => boxes.get(data.nodes[k].id)), ...edgesAt.get(id)];
    for (const one of near) one.classList.add("near");
    svg.querySelector('g.node[tabindex="0"]')?.setAttribute("tabindex", -1);
    box.setAttribute("tabindex", 0);
    $("panel-node").replaceChildren(...nodePanel(node));
    $("panel-node").scrollTop = 0;
    open("node");
    if (travel) show(id);
    history.replaceState(null, "", `#${id}`);
  };
  for (const [id, box] of boxes) {
    box.setAttribute("tabindex", -1);
    box.setAttribute("role", "button");
    const { text, gradient, kind } = data.nodes[index.get(id)];
    box.setAttribute("aria-label", `${text}, ${gradient ? "gradient" : kind}`);
    box.addEventListener("click", () => travelled <= 4 && select(id));
  }
  graph.addEventListener("click", (event) => {
    if (travelled <= 4 && !event.target.closest("g.node, button")) select(null);
  });

  // -- keys -----------------------------------------------------------------------------------------------------------
  const centre = (k) => {
    const box = boxes.get(data.nodes[k].id).getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  const beside = (k, way) => {
    const [x, y] = centre(k);
    const all = data.nodes.map((_, j) => [j, ...centre(j)]).filter(([j, ox, oy]) => j !== k && Math.abs(oy - y) < 12 * view.scale && (ox - x) * way > 0);
    return all.sort((a, b) => (a[1] - b[1]) * way)[0]?.[0];
  };
  const go = (k) => {
    if (k === undefined) return;
    select(data.nodes[k].id, true);
    boxes.get(data.nodes[k].id).focus({ preventScroll: true });
  };
  document.addEventListener("keydown", (event) => {
    if ($("keys").open) return;
    const typing = event.target.matches("input, pre");
    if (event.key === "/" && !typing) { event.preventDefault(); $("search").focus(); return; }
    if (event.key === "Escape") { if (typing) event.target.blur(); else select(null); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const panel = { 1: "node", 2: "formula", 3: "derivation", 4: "kernels" }[event.key];
    if (panel) open(panel);
    if (event.key === "+") zoom(1.2, ...middle());
    if (event.key === "-") zoom(1 / 1.2, ...middle());
    if (event.key === "0") fit();
    if (event.key === "f") fold(!isFolded());
    if (!graph.contains(document.activeElement) && document.activeElement !== document.body) return;
    if ((event.key === "Enter" || event.key === " ") && boxes.has(document.activeElement.id)) {
      event.preventDefault();
      select(document.activeElement.id);
    }
    if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
    const k = selected === null ? undefined : index.get(selected);
    if (k === undefined) return go(data.nodes.length - 1);
    const node = data.nodes[k];
    if (event.key === "ArrowUp") go(node.operands[0]);
    else if (event.key === "ArrowDown") go(node.users[0]);
    else go(beside(k, event.key === "ArrowLeft" ? -1 : 1));
  });
  graph.addEventListener("focus", () => selected === null && graph.matches(":focus-visible") && go(data.nodes.length - 1));

  // -- search ---------------------------------------------------------------------------------------------------------
  let hits = [], at = -1;
  $("search").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    const itself = (node) => words.every((word) => `${node.name} ${node.label} ${node.operator}`.toLowerCase().includes(word));
    const found = words.length ? data.nodes.filter((node) => words.every((word) => node.search.includes(word))) : [];
    hits = [...found.filter(itself), ...found.filter((node) => !itself(node))].map((node) => node.id);
    at = -1;
    for (const [id, box] of boxes) box.classList.toggle("hit", hits.includes(id));
    $("found").textContent = words.length ? `${hits.length} found` : "";
  });
  $("search").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !hits.length) return;
    at = (at + (event.shiftKey ? hits.length - 1 : 1)) % hits.length;
    $("found").textContent = `${at + 1} of ${hits.length}`;
    select(hits[at], true);
  });

  // -- start ----------------------------------------------------------------------------------------------------------
  for (const line of data.equations) {
    const made = ready("button", line.math, { className: line.gradient ? "line gradient" : "line", type: "button" });
    if (line.node !== null) {
      made.dataset.node = data.nodes[line.node].id;
      made.addEventListener("click", () => select(data.nodes[line.node].id, true));
    }
    $("panel-formula").append(made);
  }
  $("panel-derivation").append(data.steps.length ? stepList(data.steps.map((_, k) => k)) : element("p", { className: "nothing", textContent: "Nothing was differentiated." }));
  if (data.checked) $("panel-derivation").append(element("p", { className: "kind", textContent: data.checked }));
  const longest = Math.max(...data.kernels.map((kernel) => kernel.seconds ?? 0), 1e-12);
  const rows = data.kernels.map((kernel, k) => {
    const bar = element("span", { className: "bar" });
    bar.style.width = `${(100 * (kernel.seconds ?? 0)) / longest}%`;
    const opener = element("button", { type: "button", className: "where", textContent: kernel.name, ariaExpanded: "false" });
    const row = element("tr", { className: "kernel" }, element("td", {}, computes(kernel), opener, bar),
      ...[duration(kernel.seconds), amount(kernel.flops), amount(kernel.bytes)].map((text) => element("td", { className: "number", textContent: text })));
    const detail = element("tr", { hidden: true }, element("td", { colSpan: 4 }));
    row.addEventListener("click", () => {
      if (!detail.firstChild.childNodes.length) detail.firstChild.append(...code(kernel));
      detail.hidden = !detail.hidden;
      opener.ariaExpanded = String(!detail.hidden);
    });
    return [row, detail];
  });
  const head = element("tr", {}, element("th", { textContent: "kernel" }), ...["time", "FLOPs", "bytes"].map((text) => element("th", { className: "number", textContent: text })));
  $("panel-kernels").append(element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows.flat())));
  $("theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).getPropertyValue("--page").trim() === "#14171c";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  });
  $("help").addEventListener("click", () => $("keys").showModal());
  addEventListener("resize", () => fit(false));
  fold(false);
  fit(false);
  const asked = location.hash.slice(1); // ids have nothing that would be escaped
  select(boxes.has(asked) ? asked : data.start, boxes.has(asked));
})();
