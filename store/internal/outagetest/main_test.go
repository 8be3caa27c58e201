// Package outagetest takes the store away from ledgers at work, in every way that a store can be away, and gives it back;
// and it lets ledgers work for long. Servers, files and networks are real, and so are their faults.
package outagetest

import (
	"os"
	"testing"

	"github.com/purser-go/purser/internal/leak"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(urlVariable); url != "" {
		serve(url, os.Getenv(nameVariable))
		return
	}
	leak.VerifyTestMain(m)
}
