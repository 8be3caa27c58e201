// Command findchromium reports whether there is a Chromium for the tests of the page, and says what to install if not.
package main

import (
	"fmt"
	"os"

	"github.com/purser-go/purser/examples/internal/browser"
)

func main() {
	if _, err := browser.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "findchromium:", err)
		os.Exit(1)
	}
}
