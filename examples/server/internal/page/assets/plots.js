// Draws each plot from the table of its numbers, with uPlot.

/* global uPlot */

export function plots() {
	const all = [...document.querySelectorAll("[data-plot]")].map((figure) => new Plot(figure));
	return {
		update: () => all.forEach((plot) => plot.update()),
		redraw: () => all.forEach((plot) => plot.draw()),
	};
}

class Plot {
	constructor(figure) {
		this.figure = figure;
		this.host = figure.querySelector(".canvas");
		this.readout = figure.querySelector(".readout");
		this.host.hidden = false;
		this.readout.hidden = false;
		this.draw();
		new ResizeObserver(() => this.resize()).observe(figure);
	}

	get table() {
		return document.getElementById(this.figure.dataset.plot);
	}

	// update draws anew if the numbers are others.
	update() {
		if (this.table && this.table.textContent !== this.drawn) this.draw();
	}

	draw() {
		const table = this.table;
		this.drawn = table.textContent;
		this.unit = table.dataset.unit;
		this.read(table);
		this.uplot?.destroy();
		this.uplot = new uPlot(this.options(), this.data, this.host);
		this.say(null);
	}

	resize() {
		const width = this.host.clientWidth;
		if (width > 0 && width !== this.uplot.width) this.uplot.setSize({ width, height: this.host.clientHeight });
	}

	read(table) {
		const heads = [...table.tHead.rows[0].cells].slice(1);
		const rows = [...table.tBodies[0].rows];
		if ("newestFirst" in table.dataset) rows.reverse();
		this.names = rows.map((row) => row.cells[0].textContent);
		this.texts = rows.map((row) => [...row.cells].slice(1).map((cell) => cell.textContent));
		this.columns = heads.flatMap((head, i) => (head.dataset.kind ? [{ i, kind: head.dataset.kind, name: head.textContent }] : []));
		const numbers = this.columns.map(({ i }) => rows.map((row) => number(row.cells[i + 1])));
		this.data = [rows.map((_, i) => i), ...numbers];
	}

	options() {
		const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
		const ink = { bars: colour("--accent"), line: colour("--accent"), dashes: colour("--accent"), limit: colour("--exceeded") };
		const muted = colour("--muted");
		const axis = { stroke: muted, ticks: { show: false }, grid: { stroke: colour("--line"), width: 1 }, font: `12px ${getComputedStyle(document.body).fontFamily}` };
		const faint = withAlpha(colour("--accent"), 0.16);
		const series = this.columns.map(({ kind }) => ({
			stroke: ink[kind] ?? "transparent",
			width: kind === "bars" ? 0 : kind === "limit" ? 1.5 : 2,
			fill: kind === "bars" ? withAlpha(ink.bars, 0.85) : kind === "line" ? faint : undefined,
			dash: kind === "dashes" ? [5, 4] : kind === "limit" ? [2, 3] : undefined,
			paths: kind === "bars" ? uPlot.paths.bars({ size: [0.8, 40], radius: 0.15 }) : undefined,
			points: { show: false },
		}));
		const column = (kind) => this.columns.findIndex((c) => c.kind === kind) + 1;
		const bands = column("high") > 0 ? [{ series: [column("high"), column("low")], fill: faint }] : [];
		return {
			width: this.host.clientWidth || 300,
			height: this.host.clientHeight || 200,
			padding: [10, 24, 0, 0],
			legend: { show: false },
			cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
			scales: {
				x: { time: false, range: (_, low, high) => [low - 0.6, high + 0.6] },
				y: { range: (_, low, high) => [0, high > 0 ? high * 1.06 : 1] },
			},
			axes: [
				{ ...axis, grid: { show: false }, incrs: [1, 2, 3, 5, 7, 10, 14, 20, 30, 60, 90, 120], space: 60, size: 28, values: (_, at) => at.map((i) => brief(this.names[i] ?? "")) },
				{ ...axis, size: 58, values: (_, at) => at.map((n) => this.unit + short(n)) },
			],
			series: [{}, ...series],
			bands,
			hooks: { setCursor: [(u) => this.say(u.cursor.idx)] },
		};
	}

	// say writes the numbers under the pointer, or nothing.
	say(at) {
		if (at == null || !this.names[at]) {
			this.readout.textContent = "";
			return;
		}
		const parts = this.columns.filter(({ i }) => this.texts[at][i]).map(({ i, name }) => `${name} ${this.texts[at][i]}`);
		this.readout.textContent = `${this.names[at]}: ${parts.join(", ")}`;
	}
}

function number(cell) {
	const value = cell.querySelector("data")?.value;
	return value === undefined ? null : Number(value);
}

// brief leaves the year out of a day and the day out of an hour: they stand in the table.
const brief = (name) => name.replace(/^\d{4}-\d\d-\d\d (?=\d)/, "").replace(/^\d{4}-(?=\d\d-\d\d)/, "");

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
const short = (n) => compact.format(n);

// withAlpha returns a colour, as browsers write the value of a property, with an opacity.
function withAlpha(colour, alpha) {
	return `color-mix(in srgb, ${colour} ${alpha * 100}%, transparent)`;
}
