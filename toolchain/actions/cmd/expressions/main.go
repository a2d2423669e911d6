// Command expressions evaluates GitHub Actions expressions for a scheduler that
// is not written in Go. It reads one JSON object a line,
//
//	{"expression": "...", "mode": "if", "status": "success", "context": {"github": {}, …}}
//
// and answers each with {"value": …} or {"error": "…"} on a line, at once.
//
// Modes: "if" is a job's condition and gives a boolean; "value" is one expression,
// with or without its ${{ }}, and keeps its type; "template" is text with
// expressions in it and gives a string. The status, which only "if" looks at, is
// what success(), failure() and cancelled() are asked about: "success", "failure",
// "cancelled", or "skipped" when a needed job was.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

type question struct {
	Expression any            `json:"expression"`
	Mode       string         `json:"mode"`
	Status     string         `json:"status"`
	Context    map[string]any `json:"context"`
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(questions io.Reader, answers io.Writer) error {
	lines := bufio.NewReader(questions) // a Scanner would refuse a long event
	encoder := json.NewEncoder(answers)
	encoder.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			if err := encoder.Encode(answer(line)); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func answer(line []byte) map[string]any {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return map[string]any{"error": "not a question: " + err.Error()}
	}
	value, err := evaluate(asked)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"value": plain(value)}
}

// plain returns a value as JSON can carry it.
func plain(value any) any {
	switch value := value.(type) {
	case filtered:
		return []any(value)
	case float64:
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return text(value)
		}
	}
	return value
}
