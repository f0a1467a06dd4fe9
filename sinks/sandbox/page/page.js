"use strict";

// Everything shown is set as text: what a target was sent is never markup.
function element(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function fieldsText(fields) {
  return Object.keys(fields).sort().map((k) => {
    const v = JSON.stringify(fields[k]);
    return k + "=" + (v.length > 48 ? v.slice(0, 47) + "…" : v);
  }).join("  ");
}

function objectTable(object) {
  const table = element("table");
  const head = element("tr");
  for (const h of ["key", "id", "version", "position", "fields"]) head.append(element("th", h));
  table.append(head);
  for (const o of object.newest) {
    const row = element("tr", undefined, o.archived ? "archived" : "");
    for (const v of [o.key_text, o.id, String(o.version), o.position || "", fieldsText(o.fields)]) row.append(element("td", v));
    table.append(row);
  }
  return table;
}

function rowTable(object) {
  const table = element("table", undefined, "rows");
  const head = element("tr");
  for (const h of ["id", "changed", "fields"]) head.append(element("th", h));
  table.append(head);
  for (const o of object.rows) {
    const row = element("tr");
    for (const v of [o.id, o.changed, fieldsText(o.fields)]) row.append(element("td", v));
    table.append(row);
  }
  return table;
}

function showSimulation(main, a) {
  main.append(element("h2", a.simulation));
  const calls = Object.keys(a.stats.calls).sort().map((k) => a.stats.calls[k] + " " + k);
  main.append(element("p", (calls.join(", ") || "no calls") + "; " + a.stats.faults + " faults", "figures"));
  for (const o of a.objects) {
    main.append(element("h3", o.object + ": " + o.count));
    main.append(rowTable(o));
  }
}

function show(apps) {
  const main = element("main");
  main.id = "apps";
  for (const a of apps) {
    if (a.simulation) {
      showSimulation(main, a);
      continue;
    }
    const s = a.stats;
    main.append(element("h2", a.app));
    main.append(element("p", s.requests + " requests, " + s.records + " records, " + s.refused + " refused, " +
      s.throttled + " throttled, " + s.faults + " faults", "figures"));
    for (const o of a.objects) {
      main.append(element("h3", o.object + ": " + o.count + (o.archived ? " (" + o.archived + " archived)" : "")));
      main.append(objectTable(o));
    }
  }
  document.getElementById("apps").replaceWith(main);
}

async function refresh() {
  const state = document.getElementById("state");
  try {
    const answer = await fetch("/_summary");
    if (!answer.ok) throw new Error("answer " + answer.status);
    show(await answer.json());
    state.textContent = "";
  } catch (e) {
    state.textContent = "No answer from the sandbox (" + e.message + "); trying again.";
  }
  setTimeout(refresh, 1000);
}

refresh();
