package main

import (
	"fmt"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/purser-go/purser/budget"
)

// write puts a text into a field, as somebody does who has marked what was there.
func (v *visit) write(field, text string) {
	v.t.Helper()
	v.eval(fmt.Sprintf(`document.getElementById(%q).select(), true`, field))
	v.do(chromedp.SendKeys(chromedp.ID(field), text))
}

// stored returns the budget as it is kept.
func (v *visit) stored(id string) budget.Budget {
	v.t.Helper()
	b, err := v.f.ledger.Budget(v.t.Context(), id)
	if err != nil {
		v.t.Fatal(err)
	}
	return b
}

func (v *visit) testEdit() {
	v.signIn("admin", "/budgets/"+v.f.acme.ID)
	v.write("edit-limit_amount", "200.000000001"+kb.Enter)
	v.wait(`document.querySelector("#edit [data-status]").textContent === "Saved."`)
	v.wait(`document.querySelector("#now .level").textContent === "60.8 % ok"`)
	v.wantText("#now", "Limit $200.00")
	before := v.f.acme
	after := v.stored(before.ID)
	if after.Limit.String() != "200.000000001" || after.Version != before.Version+1 || after.UpdatedAt != v.f.now.Now() {
		v.t.Errorf("the limit is %v, version %d after %d", after.Limit, after.Version, before.Version)
	}

	// The page knows the new version: it can be changed again, in all its fields.
	v.write("edit-alert_threshold_percent", "50")
	v.write("edit-critical_percent", "60.5")
	v.write("edit-name", "Acme & <b>all</b>")
	v.do(chromedp.Click(chromedp.CSS("#edit [name=is_enabled]")), chromedp.Click(chromedp.CSS("#edit button")))
	v.wait(`document.querySelector("#now .level").textContent === "60.8 % critical"`)
	after = v.stored(before.ID)
	if after.Name != "Acme & <b>all</b>" || !after.Disabled || after.Thresholds.WarningPercent().String() != "50" ||
		after.Thresholds.CriticalPercent().String() != "60.5" || after.Limit.String() != "200.000000001" {
		v.t.Errorf("it is %+v", after)
	}
	v.wantText("#changes", "update budget", "warning percent 50")
	v.want(`document.querySelector("h1").textContent + document.querySelector(".title .badge").textContent`, "Acme & <b>all</b>disabled")
	v.want(`document.title`, "Acme & <b>all</b> · Purser")
}

func (v *visit) testRefusedEdit() {
	v.signIn("admin", "/budgets/"+v.f.acme.ID)
	v.write("edit-limit_amount", "-3")
	v.write("edit-alert_threshold_percent", "120")
	v.do(chromedp.KeyEvent(kb.Enter))
	v.wait(`document.querySelectorAll("#edit [aria-invalid]").length === 2`)
	v.want(`document.activeElement.id`, "edit-limit_amount")
	v.want(`document.getElementById("edit-limit_amount-error").textContent !== "" && document.getElementById("edit-alert_threshold_percent-error").textContent !== ""`, "true")
	v.want(`document.getElementById("edit-limit_amount").value`, "-3") // what was written stays
	if after := v.stored(v.f.acme.ID); after.Version != v.f.acme.Version {
		v.t.Errorf("it is version %d", after.Version)
	}
	v.write("edit-limit_amount", "160")
	v.write("edit-alert_threshold_percent", "70"+kb.Enter)
	v.wait(`document.querySelector("#edit [data-status]").textContent === "Saved."`)
	v.want(`document.querySelectorAll("#edit [aria-invalid]").length`, "0")
	v.Pardon("status of 422")
}

func (v *visit) testStaleEdit() {
	v.signIn("admin", "/budgets/"+v.f.acme.ID)
	_, err := v.f.ledger.By("somebody else").Update(v.t.Context(), v.f.acme.ID, func(b *budget.Budget) error {
		b.Limit = *amount("170")
		return nil
	})
	if err != nil {
		v.t.Fatal(err)
	}
	v.wait(`document.querySelector("#now").textContent.includes("$170.00")`) // the figures know, and the form is as it was
	v.write("edit-limit_amount", "300"+kb.Enter)
	v.do(chromedp.WaitVisible(chromedp.CSS("#edit [data-failure]")))
	v.wantText("#edit [data-failure]", "Somebody else has changed this meanwhile.")
	if after := v.stored(v.f.acme.ID); after.Limit.String() != "170" {
		v.t.Errorf("the limit is %v", after.Limit)
	}
	v.Pardon("status of 412")
}

// Whoever may see a budget and not change it sees no form.
func (v *visit) testNoEdit() {
	v.signIn("reader", "/budgets/"+v.f.acme.ID)
	v.want(`document.querySelectorAll("#edit, #changes").length`, "0")
	v.wantText("#now", "$121.71")
	v.eval(`fetch("/logout", { method: "POST", redirect: "manual" }).then(() => true)`)
	v.signIn("ada", "/budgets/"+v.f.keys.ID) // ada's own, and made by ada
	v.want(`document.querySelectorAll("#edit").length`, "1")
	v.write("edit-limit_amount", "5000000"+kb.Enter)
	v.wait(`document.querySelector("#edit [data-status]").textContent === "Saved."`)
}

func (v *visit) testNewLicense() {
	v.signIn("admin", "/tenants/initech")
	v.wantText("#license", "No license counts.")
	v.write("make-credits_total", "20000")
	v.write("make-cost_per_credit", "0")
	v.do(chromedp.KeyEvent(kb.Enter))
	v.wait(`document.getElementById("make-cost_per_credit-error").textContent !== ""`)
	v.write("make-cost_per_credit", "0.05")
	v.write("make-token_budget_usd", "250.50")
	v.write("make-budget_warning_percent", "66.5")
	v.leave(chromedp.KeyEvent(kb.Enter))
	v.want(`document.querySelector("#make [data-status]").textContent`, "The license is made, and counts from now on.")
	v.wantText("#license", "of 20,000 credits")
	v.wantText("#license", "since 2026-03-15 09:30", "of $250.50", "0.0 % ok", "Per credit $0.05", "Warns from 66.5 %")
	tenant, err := v.f.ledger.Tenant(v.t.Context(), "initech")
	if err != nil {
		v.t.Fatal(err)
	}
	if len(tenant.Licenses) != 1 || tenant.Licenses[0].MoneyBudget.String() != "250.5" {
		v.t.Errorf("initech has the licenses %+v", tenant.Licenses)
	}

	// What can be changed now is the license that is shown.
	v.write("make-credits_total", "30000")
	v.leave(chromedp.KeyEvent(kb.Enter))
	v.want(`document.getElementById("change-credits_total").value`, "30000")
	v.write("change-credits_total", "40000")
	v.leave(chromedp.KeyEvent(kb.Enter))
	v.wantText("#license", "of 40,000 credits")
	v.Pardon("status of 422")
}

func (v *visit) testLostAnswer() {
	v.signIn("admin", "/tenants/initech")
	v.eval(`window.keys = [], window.fetch = (_, { headers }) => { keys.push(headers["Idempotency-Key"]); return Promise.reject(new TypeError("lost")); }, true`)
	for i, credits := range []string{"100", "100", "200"} {
		v.write("make-credits_total", credits+kb.Enter)
		v.wait(fmt.Sprintf(`keys.length === %d && !document.querySelector("#make button").disabled`, i+1))
		v.wantText("#make [data-failure]", "It may have been saved")
	}
	v.want(`keys[0].length === 32 && keys[0] === keys[1] && keys[1] !== keys[2]`, "true") // what differs is not the same once more
}

func (v *visit) testChangedLicense() {
	v.signIn("admin", "/tenants/acme")
	v.write("change-credits_total", kb.Delete)
	v.write("change-token_budget_usd", "2000")
	v.leave(chromedp.KeyEvent(kb.Enter))
	v.want(`document.querySelector("#change [data-status]").textContent`, "Saved.")
	v.wantText("#license", "of $2,000.00", "6,350.49 credits used, no limit", "31.7 % ok")
	license, err := v.f.ledger.License(v.t.Context(), v.f.license.ID)
	if err != nil {
		v.t.Fatal(err)
	}
	if license.CreditsTotal != nil || license.CostPerCredit.String() != "0.1" {
		v.t.Errorf("the license is %+v", license)
	}
	v.do(chromedp.Click(chromedp.CSS("#change button")))
	v.wait(`document.querySelector("#change [data-status]").textContent === "Nothing was changed."`)
}
