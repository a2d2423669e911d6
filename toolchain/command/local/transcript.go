package local

import (
	"bytes"
	"context"
	"errors"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
)

// longestLine is what the official plugin's line reader takes. Beyond it that
// plugin hangs for ever while it shows the stream; here the run fails instead,
// so that no program comes to depend on longer lines.
const longestLine = 64 * 1024

var errLongLine = errors.New(
	"the command printed a line longer than 64 KiB, on which the official command plugin hangs; " +
		"break the line, or set logging to none")

// transcript keeps what a process prints, each stream apart and both in the
// order they came, and shows the lines as they come.
type transcript struct {
	stdout, stderr *stream
	both           bytes.Buffer
	lock           sync.Mutex
}

type stream struct {
	owner *transcript
	// kept is no embedded buffer: its ReadFrom would pass Write by.
	kept bytes.Buffer
	// show is nil for a stream that is not shown.
	show    func(line string)
	line    []byte
	tooLong bool
}

func newTranscript(ctx context.Context, logging *Logging) *transcript {
	t := &transcript{}
	t.stdout, t.stderr = &stream{owner: t}, &stream{owner: t}
	show := p.GetLogger(ctx).InfoStatus
	if logging == nil || *logging == LogStdout || *logging == LogStdoutAndStderr {
		t.stdout.show = show
	}
	if logging == nil || *logging == LogStderr || *logging == LogStdoutAndStderr {
		t.stderr.show = show
	}
	return t
}

// Write never fails: a command's output must be collected to its end.
func (s *stream) Write(data []byte) (int, error) {
	s.owner.lock.Lock()
	defer s.owner.lock.Unlock()
	s.owner.both.Write(data)
	s.kept.Write(data)
	if s.show != nil {
		s.line = append(s.line, data...)
		s.showLines()
	}
	return len(data), nil
}

func (s *stream) showLines() {
	for {
		end := bytes.IndexByte(s.line, '\n')
		if end > longestLine || (end < 0 && len(s.line) > longestLine) {
			s.tooLong = true
		}
		if end < 0 {
			if s.tooLong {
				s.line = nil
			}
			return
		}
		if !s.tooLong {
			s.show(string(s.line[:end]))
		}
		s.line = s.line[end+1:]
	}
}

// finish shows a last line that has no end.
func (t *transcript) finish() {
	for _, s := range []*stream{t.stdout, t.stderr} {
		if s.show != nil && len(s.line) > 0 && !s.tooLong {
			s.show(string(s.line))
		}
	}
}

func (t *transcript) err() error {
	if t.stdout.tooLong || t.stderr.tooLong {
		return errLongLine
	}
	return nil
}
