package api

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// A stream is an answer that is written while it is read, for as long as that takes.
type stream struct {
	contentType string
	file        string // what a browser keeps it as
	write       func(io.Writer) error
	close       func()
}

// patience is how long a client may leave a part of a stream unread.
const patience = 30 * time.Second

// stream writes s. An error midway breaks the connection off: the client is not to take what it has for all.
func (a *API) stream(w http.ResponseWriter, r *http.Request, s *stream) {
	defer s.close()
	w.Header().Set("Content-Type", s.contentType)
	w.Header().Set("Content-Disposition", `attachment; filename="`+s.file+`"`)
	if r.Method == http.MethodHead {
		return
	}
	out := &patient{Writer: w, deadlines: http.NewResponseController(w)}
	err := s.write(out)
	if err == nil {
		err = out.extend() // for what is still to be flushed
	}
	if err != nil {
		a.Log.WarnContext(r.Context(), "an answer was broken off", "path", r.URL.Path, "error", err)
		panic(http.ErrAbortHandler)
	}
}

// patient gives each write the same time, instead of the server's one time for all.
type patient struct {
	io.Writer
	deadlines *http.ResponseController
}

func (p *patient) Write(text []byte) (int, error) {
	if err := p.extend(); err != nil {
		return 0, err
	}
	return p.Writer.Write(text)
}

func (p *patient) extend() error {
	err := p.deadlines.SetWriteDeadline(time.Now().Add(patience))
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
