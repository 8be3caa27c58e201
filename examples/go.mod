module github.com/purser-go/purser/examples

go 1.26.0

require github.com/purser-go/purser v0.0.0

replace github.com/purser-go/purser => ../
