// Package tap prints TAP version 13. The OCI suite wants mndrix/tap-go, which no Debian package carries: this
// is the part of that interface which the suite calls, and nothing else.
package tap

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// T is one stream of numbered assertions. A T made by Todo shares the numbers of the T it came from.
type T struct {
	number *int
	prefix string
}

// New is a stream that has printed nothing yet.
func New() *T {
	return &T{number: new(int), prefix: "- "}
}

// Todo is the same stream for assertions that may fail without failing the run.
func (t *T) Todo() *T {
	return &T{number: t.number, prefix: "# TODO "}
}

// Header opens the stream; a plan of 0 means that AutoPlan comes at the end.
func (t *T) Header(plan int) {
	fmt.Fprintln(os.Stdout, "TAP version 13")
	if plan > 0 {
		fmt.Fprintf(os.Stdout, "1..%d\n", plan)
	}
}

// AutoPlan prints the plan that the assertions so far amount to.
func (t *T) AutoPlan() {
	fmt.Fprintf(os.Stdout, "1..%d\n", *t.number)
}

// Count is how many assertions were printed.
func (t *T) Count() int {
	return *t.number
}

// Ok prints one assertion.
func (t *T) Ok(passed bool, description string) {
	*t.number++
	verdict := "not ok"
	if passed {
		verdict = "ok"
	}
	fmt.Fprintf(os.Stdout, "%s %d %s%s\n", verdict, *t.number, t.prefix, description)
}

// Pass is an assertion that holds.
func (t *T) Pass(description string) {
	t.Ok(true, description)
}

// Fail is an assertion that does not.
func (t *T) Fail(description string) {
	t.Ok(false, description)
}

// Skip stands for count assertions that could not be made.
func (t *T) Skip(count int, reason string) {
	for i := 0; i < count; i++ {
		*t.number++
		fmt.Fprintf(os.Stdout, "ok %d # SKIP %s\n", *t.number, reason)
	}
}

// Diagnostic prints a remark, each line behind a hash.
func (t *T) Diagnostic(remark string) {
	for _, line := range strings.Split(strings.TrimRight(remark, "\n"), "\n") {
		fmt.Fprintln(os.Stdout, "# "+line)
	}
}

// Diagnosticf is Diagnostic with a format.
func (t *T) Diagnosticf(format string, values ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, values...))
}

// YAML prints details of the last assertion. JSON is YAML too.
func (t *T) YAML(details interface{}) error {
	text, err := json.MarshalIndent(details, "  ", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "  ---\n  %s\n  ...\n", text)
	return nil
}
