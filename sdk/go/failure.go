package skillhost

import (
	"errors"
	"fmt"
	"strings"
	"time"

	types "skillhost/internal/bindings/skillhost_skill_types"
	"skillhost/internal/world"
)

// HostError is why the host, or another tool, did not do what was asked.
type HostError = world.Error

// Kind tells what sort of failure it is.
type Kind string

// The kinds of failures.
const (
	KindInvalidInput      Kind = "invalid-input"
	KindTransient         Kind = "transient"
	KindPermanent         Kind = "permanent"
	KindConflict          Kind = "conflict"
	KindMissingCapability Kind = "missing-capability"
)

// Failure is a call that failed, with the promise that nothing took effect. It may be wrapped: the message is then the
// whole. So does a [HostError], since what the host refuses does not happen, as long as the call has kept, prepared or called nothing
// before: unavailable is transient, the others are permanent.
// Any other error that a tool returns ends the instance, and the host takes the effect for unknown.
type Failure struct {
	Kind    Kind
	Message string
	// RetryAfter is when another attempt of what is transient makes sense; 0 where nobody knows. Milliseconds count.
	RetryAfter time.Duration
	// Features are those that the client lacks.
	Features []string
}

func (f *Failure) Error() string { return f.Message }

// InvalidInput says that the arguments are wrong: which, and what is expected.
func InvalidInput(format string, args ...any) error { return failure(KindInvalidInput, format, args) }

// Transient says that it may pass.
func Transient(format string, args ...any) error { return failure(KindTransient, format, args) }

// TransientFor says that it may pass, and when.
func TransientFor(retryAfter time.Duration, format string, args ...any) error {
	f := failure(KindTransient, format, args)
	f.RetryAfter = retryAfter
	return f
}

// Permanent says that trying again will not help.
func Permanent(format string, args ...any) error { return failure(KindPermanent, format, args) }

// Conflict says that the world is not as the call, or the undo, expected it.
func Conflict(format string, args ...any) error { return failure(KindConflict, format, args) }

// MissingCapability says that the client lacks these features.
func MissingCapability(features ...string) error {
	message := "the client lacks " + strings.Join(features, ", ")
	return &Failure{Kind: KindMissingCapability, Message: message, Features: features}
}

func failure(kind Kind, format string, args []any) *Failure {
	message := format
	if len(args) > 0 {
		message = fmt.Sprintf(format, args...)
	}
	return &Failure{Kind: kind, Message: message}
}

// failed is the failure in an error; what is none ends the instance.
func failed(err error) types.Failure {
	message := valid(err.Error())
	var f *Failure
	var refused *HostError
	if errors.As(err, &refused) && refused.Kind != "ended" && !changed {
		if refused.Kind == "unavailable" {
			return types.MakeFailureTransient(types.Transient{Message: message, RetryAfterMs: optional[uint64](nil)})
		}
		return types.MakeFailurePermanent(message)
	}
	if !errors.As(err, &f) {
		panic(err)
	}
	switch f.Kind {
	case KindInvalidInput:
		return types.MakeFailureInvalidInput(message)
	case KindTransient:
		var after *uint64
		if f.RetryAfter > 0 {
			ms := uint64(f.RetryAfter.Milliseconds())
			after = &ms
		}
		return types.MakeFailureTransient(types.Transient{Message: message, RetryAfterMs: optional(after)})
	case KindPermanent:
		return types.MakeFailurePermanent(message)
	case KindConflict:
		return types.MakeFailureConflict(message)
	case KindMissingCapability:
		return types.MakeFailureMissingCapability(f.Features)
	default:
		panic(fmt.Sprintf("%q is no kind of failure: %s", f.Kind, message))
	}
}

func failureOf(f types.Failure) error {
	switch f.Tag() {
	case types.FailureInvalidInput:
		return &Failure{Kind: KindInvalidInput, Message: f.InvalidInput()}
	case types.FailureTransient:
		t := f.Transient()
		after := time.Duration(t.RetryAfterMs.SomeOr(0)) * time.Millisecond
		return &Failure{Kind: KindTransient, Message: t.Message, RetryAfter: after}
	case types.FailurePermanent:
		return &Failure{Kind: KindPermanent, Message: f.Permanent()}
	case types.FailureConflict:
		return &Failure{Kind: KindConflict, Message: f.Conflict()}
	default:
		return MissingCapability(f.MissingCapability()...)
	}
}
