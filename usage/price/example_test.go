package price_test

import (
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/purser-go/purser/usage/price"
)

const own = `provider,model,match,from,input,cache_read,cache_creation,output
acme,big,starts_with,,3,0.3,3.75,15
acme,big,,2026-09-01,2,0.2,2.5,10
`

func ExampleList_Quote() {
	list, err := price.ReadCSV("own", strings.NewReader(own))
	if err != nil {
		log.Fatal(err)
	}
	quote, err := list.Quote(price.Query{
		Provider: "acme", Model: "big", At: time.Date(2026, time.September, 1, 0, 0, 0, 0, time.UTC),
		Classes: price.Classes{price.Input: 812, price.CacheRead: 9511, price.Output: 164},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(quote.Input, "+", quote.Output, "=", quote.Total())
	fmt.Println(quote.By)
	// Output:
	// 0.0035262 + 0.00164 = 0.0051662
	// own acme/big from 2026-09-01T00:00:00Z
}
