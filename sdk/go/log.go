package skillhost

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"time"

	"skillhost/internal/world"
)

// Log writes lines of the host's log, which stand there with the call they belong to. In a component it is the default of
// log/slog, and package log ends there too.
var Log = slog.New(handler{})

// handler words what is logged as slog's own text does, without the time and level, which the host knows.
type handler struct {
	with []func(slog.Handler) slog.Handler
}

func (handler) Enabled(context.Context, slog.Level) bool { return true }

func (h handler) Handle(ctx context.Context, record slog.Record) error {
	var line bytes.Buffer
	var words slog.Handler = slog.NewTextHandler(&line, &slog.HandlerOptions{
		Level: slog.LevelDebug - 4,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return attr
			}
			// The host knows them, or they are written already; others of these names are the caller's own.
			_, isLevel := attr.Value.Any().(slog.Level)
			if attr.Key == slog.LevelKey && isLevel || attr.Key == slog.MessageKey && attr.Value.String() == "" {
				return slog.Attr{}
			}
			return attr
		},
	})
	for _, with := range h.with {
		words = with(words)
	}
	message := record.Message
	record.Message, record.Time = "", time.Time{}
	if err := words.Handle(ctx, record); err != nil {
		return err
	}
	if attrs := strings.TrimSpace(line.String()); attrs != "" {
		message += " " + attrs
	}
	world.The().Log(level(record.Level), valid(message))
	return nil
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

func (h handler) WithGroup(name string) slog.Handler {
	return h.and(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

func (h handler) and(with func(slog.Handler) slog.Handler) slog.Handler {
	return handler{append(h.with[:len(h.with):len(h.with)], with)}
}

// level is the host's number of it.
func level(level slog.Level) uint8 {
	switch {
	case level < slog.LevelDebug:
		return 0
	case level < slog.LevelInfo:
		return 1
	case level < slog.LevelWarn:
		return 2
	case level < slog.LevelError:
		return 3
	default:
		return 4
	}
}
