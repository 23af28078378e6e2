// One run whole: how to make it again, what it was made with, and its configuration beside another's.

const detail = { run: 0, other: "", all: false };

function showDetails(id) {
  detail.run = id;
  if (detail.other === String(id)) detail.other = "";
  drawDetails();
}

const nameOf = (run) => { const text = label(run.knobs, page.knobs, ""); return text ? `${run.name}: ${text}` : run.name; };
const entries = (table) => el("table", {}, el("tbody", {}, Object.entries(table).map(([key, value]) => el("tr", {}, [el("td", {}, key), el("td", {}, known(value) && !Number.isInteger(value) ? String(Number(value.toPrecision(6))) : shown(value))]))));

function configTable(run, other) {
  const keys = ordered([...Object.keys(run.config), ...Object.keys(other?.config ?? {})]);
  const differs = (key) => other && run.config[key] !== other.config[key];
  const rows = keys.filter((key) => !other || detail.all || differs(key)).map((key) =>
    el("tr", { className: differs(key) ? "differs" : "" }, [el("td", {}, key), el("td", {}, shown(run.config[key])), other ? el("td", {}, shown(other.config[key])) : null]));
  if (!rows.length) return empty(other ? "The two configurations are the same." : "There is no configuration.");
  const head = el("tr", {}, ["", run.name, other?.name].filter((name) => name !== undefined).map((name) => el("th", {}, name)));
  return el("div", { className: "scroll" }, el("table", { id: "config" }, [el("thead", {}, head), el("tbody", {}, rows)]));
}

function drawDetails() {
  const run = page.runs[detail.run], other = detail.other === "" ? null : page.runs[Number(detail.other)];
  const options = page.runs.map((each) => [String(each.id), nameOf(each)]);
  const set = (key) => (value) => { detail[key] = key === "run" ? Number(value) : value; drawDetails(); };
  $("#details .controls").replaceChildren(
    select("Run", options, String(detail.run), set("run")),
    select("against", [["", "–"], ...options.filter(([id]) => Number(id) !== detail.run)], detail.other, set("other")),
    ...(other ? [checkbox("also what is equal", detail.all, set("all"))] : []),
  );
  const copied = el("span", { className: "hint", role: "status" });
  const copy = () => navigator.clipboard.writeText(run.command).then(() => { copied.textContent = "copied"; }, () => { copied.textContent = "select and copy it"; });
  $("#detail").replaceChildren(
    el("div", {}, [el("span", { className: run.status }, run.status), " ", ...run.problems.map((problem) => el("div", { className: "problem" }, problem)),
      el("div", {}, [el("a", { href: run.link + "/", target: "_blank", rel: "noopener" }, "open the run folder"), " ", run.sheet ? el("a", { href: linkTo(run, run.sheet), target: "_blank", rel: "noopener" }, "contact sheet") : null])]),
    run.command ? el("div", { className: "command" }, [el("code", { id: "command" }, run.command), el("button", { onclick: copy }, "copy"), copied]) : "",
    el("div", { className: "columns" }, [
      el("div", {}, [el("h3", {}, "Configuration"), configTable(run, other)]),
      el("div", {}, [el("h3", {}, "Results"), el("div", { className: "scroll" }, entries(run.metrics)), el("h3", {}, "Environment"), Object.keys(run.environment).length ? el("div", { className: "scroll", id: "environment" }, entries(run.environment)) : empty("Not known.")]),
    ]),
  );
}
