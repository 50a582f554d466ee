"use strict";
// Draws a report, or a comparison of two, from the JSON that the page holds.
const data = JSON.parse(document.getElementById("figures").textContent);
const main = document.getElementById("main");
const drawn = [];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
// Four digits; a dash where a measure is undefined.
const figure = (value) => !isNumber(value) ? "—" : Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(4);
const range = (interval) => interval ? `${interval.low.toFixed(4)} to ${interval.high.toFixed(4)}` : "";

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  // Text is only ever set as text: labels and items may say anything.
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function table(header, rows) {
  const cell = (name, value) => element(name, isNumber(value) ? { class: "number" } : {}, isNumber(value) ? figure(value) : String(value ?? "—"));
  const numeric = (at) => rows.some((row) => isNumber(row[at]));
  const head = element("tr", {}, ...header.map((text, at) => element("th", { scope: "col", ...(numeric(at) ? { class: "number" } : {}) }, text)));
  const body = rows.map((row) => element("tr", {}, ...row.map((value) => cell("td", value))));
  return element("div", { class: "scroll", tabindex: "0" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

function cards(list) {
  const card = ([name, value, more]) => element("div", { class: "card" }, element("span", {}, name), element("b", {}, figure(value)), more ? element("span", {}, more) : null);
  return element("div", { class: "cards" }, ...list.filter(([, value]) => isNumber(value)).map(card));
}

// A chart with a name, what it shows in words, and its numbers as a table.
function chart(into, title, text, options, header, rows, more) {
  const { height, wide, control } = more || {};
  const place = element("div", { class: "chart", role: "img", "aria-label": `${title}. ${text}` });
  if (height) place.style.height = height;
  const numbers = element("details", {}, element("summary", {}, "Numbers"), table(header, rows));
  into.append(element("figure", wide ? { class: "wide" } : {}, element("h3", {}, title), element("p", {}, text), control ?? null, place, numbers));
  const one = { place, options, made: null };
  drawn.push(one);
  return one;
}

function paint(one) {
  if (one.made) one.made.dispose();
  one.made = echarts.init(one.place, null, { renderer: "svg" });
  const text = { color: css("--soft"), fontFamily: getComputedStyle(document.body).fontFamily };
  one.made.setOption({ animation: false, textStyle: text, grid: { left: 12, right: 24, top: 24, bottom: 8, containLabel: true }, tooltip: { trigger: "item", confine: true, backgroundColor: css("--card"), borderColor: css("--line"), textStyle: { color: css("--ink") } }, ...one.options() });
}

const axis = (more) => ({ axisLine: { lineStyle: { color: css("--line") } }, axisTick: { show: false }, axisLabel: { color: css("--soft"), ...(more && more.axisLabel) }, splitLine: { lineStyle: { color: css("--line") } }, nameTextStyle: { color: css("--soft") }, ...Object.fromEntries(Object.entries(more || {}).filter(([key]) => key !== "axisLabel")) });
const short = (text) => text.length > 22 ? `${text.slice(0, 21)}…` : text;
// Tooltips are HTML: what a label says must not be.
const safe = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

// Points with intervals on lines of their own.
function intervals(rows, color) {
  return {
    xAxis: axis({ type: "value", scale: true }),
    yAxis: axis({ type: "category", data: rows.map((row) => row.name), inverse: true, axisLabel: { formatter: short }, splitLine: { show: false } }),
    tooltip: { confine: true, formatter: (p) => `${safe(rows[p.dataIndex].name)}: ${figure(rows[p.dataIndex].value)}<br>${range(rows[p.dataIndex].interval)}`, backgroundColor: css("--card"), borderColor: css("--line"), textStyle: { color: css("--ink") } },
    series: [
      { type: "custom", data: rows.map((row, at) => [row.interval ? row.interval.low : row.value, at, row.interval ? row.interval.high : row.value]), encode: { x: [0, 2], y: 1 },
        renderItem: (_, api) => {
          const [a, b] = [api.coord([api.value(0), api.value(1)]), api.coord([api.value(2), api.value(1)])];
          return { type: "line", shape: { x1: a[0], y1: a[1], x2: b[0], y2: b[1] }, style: { stroke: css(color), lineWidth: 3, opacity: 0.45 } };
        } },
      { type: "scatter", data: rows.map((row, at) => [row.value, at]), symbolSize: 9, itemStyle: { color: css(color) } },
    ],
  };
}

function heat(xs, ys, cells, low, names) {
  return {
    xAxis: axis({ type: "category", data: xs, axisLabel: { rotate: xs.length > 6 ? 45 : 0, formatter: short }, splitLine: { show: false }, name: names && names[0], nameLocation: "middle", nameGap: xs.length > 6 ? 60 : 28 }),
    yAxis: axis({ type: "category", data: ys, inverse: true, axisLabel: { formatter: short }, splitLine: { show: false } }),
    grid: { left: 12, right: 8, top: 12, bottom: names ? 20 : 8, containLabel: true },
    visualMap: { min: low, max: 1, show: false, inRange: { color: [css("--low"), css("--high")] } },
    tooltip: { confine: true, formatter: (p) => `${safe(ys[p.value[1]])} → ${safe(xs[p.value[0]])}: ${figure(p.value[2])}`, backgroundColor: css("--card"), borderColor: css("--line"), textStyle: { color: css("--ink") } },
    series: [{ type: "heatmap", data: cells.map((value) => ({ value, label: { color: value[2] > (1 + low) / 2 ? css("--card") : css("--ink") } })), label: { show: xs.length <= 12, formatter: (p) => p.value[2].toFixed(2) }, itemStyle: { borderColor: css("--card"), borderWidth: 1 } }],
  };
}

const bars = (names, series) => ({
  xAxis: axis({ type: "value" }),
  yAxis: axis({ type: "category", data: names, inverse: true, axisLabel: { formatter: short }, splitLine: { show: false } }),
  legend: series.length > 1 ? { top: 0, textStyle: { color: css("--soft") } } : undefined,
  grid: { left: 12, right: 24, top: series.length > 1 ? 32 : 12, bottom: 8, containLabel: true },
  series: series.map(([name, values, color]) => ({ type: "bar", name, data: values, itemStyle: { color: css(color) }, barMaxWidth: 18 })),
});
const tall = (rows, each) => `${Math.max(12, Math.min(60, rows * each + 4))}rem`;
const MOST = 40;
const firsts = (list) => list.length > MOST ? `The first ${MOST} of ${list.length}.` : "";

function learning(into, field, people) {
  const curves = people.map(({ name, of }) => ({ name, points: of.gold_over_time })).filter((curve) => curve.points.length > 1);
  curves.sort((a, b) => b.points.reduce((n, p) => n + p.answers, 0) - a.points.reduce((n, p) => n + p.answers, 0));
  if (field.gold_over_time.length > 1) curves.unshift({ name: "all", points: field.gold_over_time });
  if (!curves.length) return;
  const shown = curves.slice(0, 7);
  chart(into, "Accuracy against gold over time", "Answers on items with gold in parts of equal size, of all and of those who gave most.", () => ({
    xAxis: axis({ type: "time" }), yAxis: axis({ type: "value", max: 1, scale: true }),
    legend: { top: 0, type: "plain", textStyle: { color: css("--soft") } },
    grid: { left: 12, right: 24, top: 56, bottom: 8, containLabel: true },
    series: shown.map((curve) => ({ type: "line", name: curve.name, data: curve.points.map((p) => [p.to, p.accuracy]), lineStyle: { width: curve.name === "all" ? 4 : 1.5 }, symbolSize: 6 })),
  }), ["who", "until", "answers", "accuracy", "95 %"], shown.flatMap((curve) => curve.points.map((p) => [curve.name, p.to, p.answers, p.accuracy, range(p.interval)])), { wide: true });
}

function confusion(into, field, people) {
  const able = people.filter(({ of }) => of.confusion);
  // In the order of their texts.
  const order = field.confusion_labels.map((_, at) => at);
  order.sort((a, b) => field.confusion_labels[a].localeCompare(field.confusion_labels[b]));
  const labels = order.map((at) => field.confusion_labels[at]);
  if (!able.length || labels.length > 40) return;
  const select = element("select", { "aria-label": "Annotator" }, ...able.map(({ name }, at) => element("option", { value: at }, name)));
  const matrix = () => {
    const all = able[Number(select.value) || 0].of.confusion;
    return order.map((truth) => order.map((given) => all[truth][given]));
  };
  const cells = () => matrix().flatMap((row, truth) => row.map((share, given) => [given, truth, share]));
  const rows = () => matrix().map((row, truth) => [labels[truth], ...row]);
  const one = chart(into, "Confusion by Dawid and Skene's model", "How one annotator answers (columns) where a label is true (rows).", () => heat(labels, labels, cells(), 0, ["answered"]), ["true", ...labels], rows(), { height: tall(labels.length, 2), control: select });
  select.addEventListener("change", () => {
    paint(one);
    one.place.parentElement.querySelector("details .scroll").replaceWith(table(["true", ...labels], rows()));
  });
}

function pairs(into, field) {
  const all = field.agreement.annotator_pairs.filter((pair) => isNumber(pair.kappa));
  if (!all.length) return;
  const shared = new Map();
  for (const pair of all) for (const name of pair.annotators) shared.set(name, (shared.get(name) || 0) + pair.shared);
  const names = [...shared.keys()].sort((a, b) => shared.get(b) - shared.get(a)).slice(0, 30).sort();
  const place = new Map(names.map((name, at) => [name, at]));
  const cells = [];
  for (const { annotators: [a, b], kappa } of all) {
    if (place.has(a) && place.has(b)) cells.push([place.get(a), place.get(b), kappa], [place.get(b), place.get(a), kappa]);
  }
  const low = Math.min(0, ...all.map((pair) => pair.kappa));
  chart(into, "Agreement of pairs", `Cohen's kappa of annotators who share answers. ${shared.size > 30 ? "The 30 who share most." : ""}`, () => heat(names, names, cells, low), ["annotator", "annotator", "shared", "kappa"], all.map((pair) => [...pair.annotators, pair.shared, pair.kappa]), { height: tall(names.length, 1.2) });
}

function annotators(into, people) {
  const scored = people.filter(({ of }) => isNumber(of.gold_accuracy)).map(({ name, of }) => ({ name, value: of.gold_accuracy, interval: of.gold_interval, of }));
  scored.sort((a, b) => b.of.gold.answers - a.of.gold.answers);
  const shown = scored.slice(0, MOST).sort((a, b) => b.value - a.value);
  if (shown.length) {
    chart(into, "Accuracy of annotators", `Share of answers that equal gold, with Wilson's 95 % interval. ${firsts(scored)}`, () => intervals(shown, "--a"), ["annotator", "answers", "accuracy", "95 %", "against chance"], shown.map((row) => [row.name, row.of.gold.answers, row.value, range(row.interval), row.of.chance && row.of.chance.verdict]), { height: tall(shown.length, 1.3) });
  }
}

function field(report, field) {
  const { agreement, gold } = field;
  const alpha = agreement.krippendorff_alpha;
  const of = agreement.intervals;
  const objects = field.boxes || field.spans;
  const texts = field.texts;
  main.append(element("h2", { id: `field-${report.fields.indexOf(field)}` }, `${field.field} (${field.kind})`));
  main.append(element("p", {}, `${figure(field.answers)} answers of ${figure(field.annotators)} annotators to ${figure(field.items)} items, ${figure(agreement.items)} with two answers or more.`));
  main.append(cards([
    ["Percent, mean of items", agreement.percent_item_mean, range(of.percent_item_mean)],
    ["Alpha, nominal", alpha.nominal, range(of.krippendorff_alpha_nominal)],
    ["Alpha, ordinal", alpha.ordinal], ["Alpha, interval", alpha.interval], ["Alpha, MASI", agreement.alpha_masi],
    ["Fleiss' kappa", agreement.fleiss_kappa], ["Cohen's kappa, mean", agreement.cohen_kappa && agreement.cohen_kappa.mean],
    ["Answers against gold", gold.answer_accuracy, range(gold.answer_accuracy_interval)],
    ["Majority against gold", gold.majority_accuracy], ["Weighted majority", gold.weighted_majority_accuracy], ["Dawid-Skene", gold.dawid_skene_accuracy],
    ["Error of the mean", gold.mean_mae], ["Pearson", gold.pearson],
    ...(objects ? [["F1 of pairs", objects.pair_f1], ["IoU of matched", objects.mean_iou], ["Alpha of tokens", objects.token_alpha], ["F1 against gold", objects.gold_f1]] : []),
    ...(texts ? [["Edits of characters, pairs", texts.pair_cer], ["Error of characters, gold", texts.gold_cer], ["Error of words, gold", texts.gold_wer]] : []),
    ["Reviews accepted", field.reviews.all.accepted_rate, `${figure(field.reviews.all.decisions)} reviews`],
    ["With a prediction in view", field.prelabelled_answers || null, "answers"],
  ]));
  const reasons = Object.entries({ ...agreement.undefined, ...gold.undefined });
  if (reasons.length) main.append(element("details", {}, element("summary", {}, "What is undefined, and why"), table(["measure", "because"], reasons)));
  const charts = element("div", { class: "charts" });
  main.append(charts);
  const people = report.annotators.map((person) => ({ name: person.annotator, of: person.fields.find((f) => f.field === field.field) })).filter(({ of }) => of);
  if (field.labels.length) {
    const shown = field.labels.slice(0, MOST);
    chart(charts, "Labels", `How often each was given. ${firsts(field.labels)}`, () => bars(shown.map((l) => l.label), [["answers", shown.map((l) => l.answers), "--a"]]), ["label", "answers", "specific agreement", "found of gold"], field.labels.map((l) => [l.label, l.answers, l.specific_agreement, l.gold.answers ? l.gold.right / l.gold.answers : null]), { height: tall(shown.length, 1.6) });
  }
  annotators(charts, people);
  pairs(charts, field);
  confusion(charts, field, people);
  learning(charts, field, people);
  if (field.prelabels.length) {
    chart(charts, "Predictions in view", "What became of the predictions that people began with.", () => bars(field.prelabels.map((m) => m.model), [["accepted", field.prelabels.map((m) => m.accepted), "--a"], ["edited", field.prelabels.map((m) => m.edited), "--b"], ["rejected", field.prelabels.map((m) => m.rejected), "--c"]]), ["model", "accepted", "edited", "rejected", "added", "right of gold"], field.prelabels.map((m) => [m.model, m.accepted, m.edited, m.rejected, m.added, m.gold_accuracy]));
  }
}

function report(report) {
  document.getElementById("lead").textContent = `${figure(report.rows)} annotation rows. Not counted as answers: ${Object.entries(report.excluded).map(([reason, count]) => `${reason} ${figure(count)}`).join(", ") || "none"}.`;
  const links = report.fields.map((f, at) => element("a", { href: `#field-${at}` }, f.field));
  if (links.length > 1) document.getElementById("fields").append(...links);
  for (const one of report.fields) field(report, one);
  const { hardest, confused } = report.items;
  if (hardest.length) {
    main.append(element("h2", {}, "Items that people disagree on"));
    const charts = element("div", { class: "charts" });
    main.append(charts);
    const bits = hardest.filter((item) => isNumber(item.entropy));
    if (bits.length) chart(charts, "Hardest items", "Entropy of the label's posterior, bits.", () => bars(bits.map((i) => i.item), [["bits", bits.map((i) => i.entropy), "--b"]]), ["item", "field", "answers", "agreement", "expected", "bits", "cause"], hardest.map((i) => [i.item, i.field, i.labels.map(([label, count]) => `${label} ${count}`).join(", "), i.agreement, i.expected_agreement, i.entropy, i.cause]), { height: tall(bits.length, 1.4) });
    if (confused.length) {
      const names = confused.map((p) => p.labels.join(" / "));
      chart(charts, "Labels taken for each other", "Pairs of answers to one item, one of each label.", () => bars(names, [["pairs", confused.map((p) => p.pairs), "--a"]]), ["labels", "field", "pairs", "of all unequal"], confused.map((p, at) => [names[at], p.field, p.pairs, p.share]), { height: tall(names.length, 1.4) });
    }
  }
  if (report.rules.length) main.append(element("h2", {}, "Rules"), element("figure", {}, table(["rule", "field", "labelled", "coverage", "overlap", "conflict"], report.rules.map((r) => [r.rule, r.field, r.labelled, r.coverage, r.overlap, r.conflict]))));
  work(report.annotators.filter((person) => person.work));
}

function work(people) {
  if (!people.length) return;
  main.append(element("h2", {}, "Work"));
  const charts = element("div", { class: "charts" });
  main.append(charts);
  const hours = [...Array(24).keys()];
  const sums = hours.map((hour) => people.reduce((sum, person) => sum + person.work.by_hour[hour], 0));
  if (sums.some((sum) => sum > 0)) chart(charts, "By hour of the day, UTC", "Submissions, or answers of tables without them.", () => ({ xAxis: axis({ type: "category", data: hours.map(String), splitLine: { show: false } }), yAxis: axis({ type: "value" }), series: [{ type: "bar", data: sums, itemStyle: { color: css("--a") } }] }), ["hour", "submissions"], hours.map((hour) => [`${hour}:00`, sums[hour]]));
  const timed = people.filter((person) => person.work.lead_time).slice(0, MOST);
  if (timed.length) chart(charts, "Lead time", "Median seconds of a submission.", () => bars(timed.map((p) => p.annotator), [["seconds", timed.map((p) => p.work.lead_time.median), "--c"]]), ["annotator", "measured", "median", "quartiles", "much faster", "much slower"], timed.map(({ annotator, work: { lead_time: t } }) => [annotator, t.measured, t.median, `${figure(t.lower_quartile)} to ${figure(t.upper_quartile)}`, t.much_faster, t.much_slower]), { height: tall(timed.length, 1.4) });
}

function comparison(compared) {
  document.getElementById("lead").textContent = "Figures of the first commit, and then of the second.";
  for (const f of compared.fields) {
    main.append(element("h2", {}, `${f.field} (${f.kind})`), element("p", {}, `${figure(f.answers.a)} answers, then ${figure(f.answers.b)}; ${figure(f.added)} added or changed.`));
    const change = (of) => of && isNumber(of.change) ? [`${figure(of.a)} → ${figure(of.b)}`, range(of.interval)].filter(Boolean).join("; ") : "";
    main.append(cards([["Change of alpha", f.krippendorff_alpha.change, change(f.krippendorff_alpha)], ["Change against gold", f.gold_accuracy.change, change(f.gold_accuracy)], ["Change of the majority", f.majority_accuracy.change, change(f.majority_accuracy)], ["Jensen-Shannon, bits", f.jensen_shannon], ["Cramér's V of added", f.chi_square && f.chi_square.cramers_v, f.chi_square && (f.chi_square.p < 0.001 ? "p below 0.001" : `p ${f.chi_square.p.toFixed(3)}`)], ["Answers with a prediction in view", f.prelabelled.b]]));
    const charts = element("div", { class: "charts" });
    main.append(charts);
    const shown = f.labels.slice(0, MOST);
    const share = (key) => { const all = f.labels.reduce((sum, l) => sum + l[key], 0); return shown.map((l) => all ? l[key] / all : 0); };
    if (shown.length) chart(charts, "Labels of both", `Share of answers. ${firsts(f.labels)}`, () => bars(shown.map((l) => l.label), [["first", share("a"), "--a"], ["then", share("b"), "--b"]]), ["label", "first", "then", "added", "found of gold", "then"], f.labels.map((l) => [l.label, l.a, l.b, l.added, l.gold_accuracy.a, l.gold_accuracy.b]), { height: tall(shown.length, 2.2) });
    for (const [title, text, moved] of [["Answers that changed", "Of one person to one question, from what to what.", f.transitions], ["Majorities that changed", "From what to what.", f.majority_transitions]]) {
      const most = moved.slice(0, MOST);
      if (most.length) chart(charts, title, `${text} ${firsts(moved)}`, () => bars(most.map((t) => `${t.from} → ${t.to}`), [["count", most.map((t) => t.count), "--b"]]), ["from", "to", "count"], moved.map((t) => [t.from, t.to, t.count]), { height: tall(most.length, 1.6) });
    }
    if (f.new_annotators.length) charts.append(element("figure", { class: "wide" }, element("h3", {}, "New annotators"), table(["annotator", "answers", "agrees", "gold", "against chance"], f.new_annotators.map((n) => [n.annotator, n.answers, n.agreement, n.gold_accuracy, n.chance]))));
  }
}

// What was done to an item, the oldest first, a line of time for each annotation.
function life({ events }) {
  document.getElementById("lead").textContent = `${events.length} events, the oldest first.`;
  const list = element("ol", { class: "life" });
  const place = (e) => e.annotation_id ?? e.submission_id;
  for (const e of events) {
    const says = (v) => v && (v.read_as ? `${v.value} (now ${v.read_as})` : v.value);
    const [was, is] = [says(e.old), says(e.new)];
    const value = was && is && was !== is ? `${was} → ${is}` : is ?? was;
    const from = e.from && (/^[0-9a-f]{40}$/.test(e.from) ? e.from.slice(0, 10) : e.from);
    const who = [e.by && `by ${e.by}`, e.policy && `under ${e.policy}`, from && `from ${from}`].filter(Boolean).join(" ");
    const metrics = Object.entries(e.metrics ?? {}).map(([name, figure]) => `${name}=${figure}`).join(", ");
    const more = [e.name, e.detail, metrics].filter(Boolean).join("; ");
    const commit = [e.commit.slice(0, 10), e.message, e.author && `committed by ${e.author}`, e.code_commit && `code ${e.code_commit.slice(0, 10)}`].filter(Boolean).join(" · ");
    list.append(element("li", {}, element("time", { datetime: e.at, title: e.at }, e.at.slice(0, 19).replace("T", " ")), element("div", {}, element("b", {}, e.what), place(e) ? element("span", {}, ` ${place(e)} `) : null, who ? element("span", {}, ` ${who}`) : null, value ? element("p", { class: "value" }, value) : null, more ? element("p", {}, more) : null, element("p", { class: "soft" }, commit))));
  }
  main.append(list);
}

if (data.report) report(data.report); else if (data.life) life(data.life); else comparison(data.comparison);
const all = () => drawn.forEach(paint);
all();
addEventListener("resize", () => drawn.forEach((one) => one.made.resize()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
