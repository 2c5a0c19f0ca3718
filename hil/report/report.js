"use strict";
// Draws the charts of the report from the JSON in #data. Text and tables are in the page already.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  // Minutes, in a long run hours: the labels stay short enough to stand side by side.
  const end = data.t.length ? data.t[data.t.length - 1] : 0;
  const unit = end > 3 * 3600 ? { s: 3600, name: " h" } : { s: 60, name: " min" };
  const marks = data.t.map((t) => t / unit.s);
  const sync = uPlot.sync("run");
  let plots = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  // Times in shadow behind everything, times in contact as a band at the top.
  function shade(u) {
    const { ctx, bbox } = u;
    const span = ([from, to]) => {
      const x0 = Math.max(u.valToPos(from / unit.s, "x", true), bbox.left);
      const x1 = Math.min(u.valToPos(to / unit.s, "x", true), bbox.left + bbox.width);
      return [x0, Math.max(x1 - x0, 0)];
    };
    ctx.save();
    ctx.fillStyle = colour("dark");
    for (const dark of data.dark) {
      const [x, width] = span(dark);
      ctx.fillRect(x, bbox.top, width, bbox.height);
    }
    ctx.fillStyle = colour("pass");
    for (const pass of data.passes) {
      const [x, width] = span(pass);
      ctx.fillRect(x, bbox.top, width, bbox.height);
    }
    ctx.restore();
  }

  function limits(chart) {
    return (u) => {
      const { ctx, bbox } = u;
      ctx.save();
      ctx.setLineDash([6, 5]);
      for (const line of chart.lines) {
        if (line.limit === null) continue;
        const y = u.valToPos(line.limit, "y" + line.scale, true);
        if (y < bbox.top || y > bbox.top + bbox.height) continue;
        ctx.strokeStyle = colour("red");
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
      }
      ctx.restore();
    };
  }

  // Follow the data with a little air, and take in a limit that is not far off.
  function range(chart, scale) {
    return (u, least, most) => {
      if (least === null) return [0, 1];
      const percent = chart.lines.some((line) => line.scale === scale && line.unit === "%");
      if (percent) return [0, 105];
      const air = Math.max((most - least) * 0.08, 0.05);
      let low = least >= 0 && least < most * 0.4 ? 0 : least - air;
      let high = most + air;
      for (const line of chart.lines) {
        if (line.scale !== scale || line.limit === null) continue;
        const reach = (high - low) * 0.7;
        if (line.limit < low && low - line.limit < reach) low = line.limit - air;
        if (line.limit > high && line.limit - high < reach) high = line.limit + air;
      }
      return [low, high];
    };
  }

  function options(chart, width) {
    const scales = { x: { time: false } };
    const units = [];
    const axes = [
      {
        stroke: colour("dim"),
        grid: { stroke: colour("line"), width: 1 },
        ticks: { stroke: colour("line"), width: 1 },
        size: 30,
        space: 70,
        values: (u, marks) => marks.map((mark) => mark + unit.name),
      },
    ];
    for (const scale of [0, 1]) {
      const lines = chart.lines.filter((line) => line.scale === scale);
      if (!lines.length) continue;
      scales["y" + scale] = { range: range(chart, scale) };
      units.push(lines[0].unit);
      axes.push({
        scale: "y" + scale,
        side: scale ? 1 : 3,
        stroke: colour("dim"),
        grid: { show: scale === 0, stroke: colour("line"), width: 1 },
        ticks: { show: false },
        size: 54,
        values: (u, marks) => marks.map((mark) => mark + " " + lines[0].unit),
      });
    }
    const series = [{ label: "time", value: (u, v) => (v === null ? "" : clock(v * unit.s)) }];
    for (const line of chart.lines) {
      series.push({
        label: line.label,
        scale: "y" + line.scale,
        stroke: colour(line.colour),
        width: 1.8,
        spanGaps: false,
        points: { show: false },
        value: (u, v) => (v === null || v === undefined ? "–" : v.toFixed(2) + " " + line.unit),
      });
    }
    return {
      width,
      height: 210,
      scales,
      axes,
      series,
      legend: { markers: { width: 0, fill: (u, i) => (i ? series[i].stroke : "transparent") } },
      cursor: { sync: { key: sync.key }, points: { size: 6 } },
      hooks: { drawClear: [shade], draw: [limits(chart)] },
    };
  }

  function clock(seconds) {
    const whole = Math.round(seconds);
    const pad = (n) => String(n).padStart(2, "0");
    return Math.floor(whole / 3600) + ":" + pad(Math.floor((whole % 3600) / 60)) + ":" + pad(whole % 60);
  }

  function draw() {
    plots.forEach((plot) => plot.destroy());
    plots = data.charts.map((chart) => {
      const place = document.getElementById(chart.id);
      const columns = [marks, ...chart.lines.map((line) => line.values)];
      return new uPlot(options(chart, place.clientWidth), columns, place);
    });
  }

  function resize() {
    data.charts.forEach((chart, i) => {
      plots[i].setSize({ width: document.getElementById(chart.id).clientWidth, height: 210 });
    });
  }

  draw();
  window.addEventListener("resize", resize);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
