// Keeps the choice of colours as the form does without JavaScript, and shows it at once.
export function theme(changed) {
	const form = document.querySelector("form.theme");
	form.addEventListener("submit", async (event) => {
		event.preventDefault();
		const chosen = event.submitter.value;
		const root = document.documentElement;
		if (chosen) root.dataset.theme = chosen;
		else delete root.dataset.theme;
		for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === chosen));
		changed();
		const body = new URLSearchParams(new FormData(form, event.submitter));
		await fetch(form.action, { method: "POST", body, redirect: "manual" });
	});
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}
