"use strict";
// Draws each field of both runs, one over the other, from the JSON in #data; red marks at the top
// are where records of its topic differ. All charts share their cursor.
(() => {
  const charts = JSON.parse(document.getElementById("data").textContent);
  const sync = uPlot.sync("runs");
  let plots = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  function marks(chart) {
    return (u) => {
      const { ctx, bbox } = u;
      ctx.save();
      ctx.fillStyle = colour("red");
      for (const mark of chart.marks) {
        const x = u.valToPos(mark, "x", true);
        if (x >= bbox.left && x <= bbox.left + bbox.width) ctx.fillRect(x, bbox.top, 2, 8);
      }
      ctx.restore();
    };
  }

  function line(label, name, dash, width) {
    return {
      label,
      stroke: colour(name),
      width,
      dash,
      spanGaps: true,
      points: { show: false },
      value: (u, v) => (v === null || v === undefined ? "–" : String(v)),
    };
  }

  function axis() {
    const grid = { stroke: colour("line"), width: 1 };
    return { stroke: colour("dim"), grid, ticks: grid };
  }

  function options(chart, width) {
    return {
      width,
      height: 210,
      scales: { x: { time: false } },
      axes: [
        { ...axis(), size: 30, space: 70, values: (u, at) => at.map((t) => t + " s") },
        { ...axis(), size: 72 },
      ],
      series: [
        { label: "time", value: (u, v) => (v === null ? "" : v.toFixed(3) + " s") },
        line("recorded", "blue", undefined, 3),
        line("replayed", "red", [6, 4], 1.6),
      ],
      cursor: { sync: { key: sync.key }, points: { size: 6 } },
      hooks: { draw: [marks(chart)] },
    };
  }

  function draw() {
    plots.forEach((plot) => plot.destroy());
    plots = charts.map((chart) => {
      const place = document.getElementById(chart.id);
      return new uPlot(options(chart, place.clientWidth), uPlot.join([chart.old, chart.new]), place);
    });
  }

  function resize() {
    charts.forEach((chart, i) => {
      plots[i].setSize({ width: document.getElementById(chart.id).clientWidth, height: 210 });
    });
  }

  draw();
  window.addEventListener("resize", resize);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
