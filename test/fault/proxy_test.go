package fault

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo serves lines back, and gives the connections that it took.
func echo(t *testing.T) (addr string, taken <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	conns := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			conns <- c
			go func() {
				_, _ = io.Copy(c, c) // until either end is gone
			}()
		}
	}()
	return l.Addr().String(), conns
}

// through makes a proxy and a connection through it that has been used once.
func through(t *testing.T) (p *Proxy, c net.Conn, server net.Conn) {
	t.Helper()
	addr, taken := echo(t)
	p, err := NewProxy(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if c, err = net.Dial("tcp", p.Addr()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	server = <-taken
	t.Cleanup(func() { server.Close() })
	if err := say(c, time.Minute); err != nil {
		t.Fatal(err)
	}
	return p, c, server
}

// say sends a line and wants it back in time.
func say(c net.Conn, within time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return err
	}
	_, err := bufio.NewReader(c).ReadString('\n')
	return err
}

const moment = 50 * time.Millisecond

func TestStall(t *testing.T) {
	t.Parallel()
	p, c, _ := through(t)
	p.Stall(true)
	if err := say(c, moment); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stalled connection gave %v", err)
	}
	p.Stall(false) // the first line goes on
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "hello\n" {
		t.Errorf("after the stall: %q, %v", line, err)
	}
}

func TestStallThenCut(t *testing.T) {
	t.Parallel()
	p, c, server := through(t)
	p.Stall(true)
	if err := say(c, moment); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stalled connection gave %v", err)
	}
	p.CutAll()
	p.Stall(false)
	for name, end := range map[string]net.Conn{"client": c, "server": server} {
		if err := end.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := end.Read(make([]byte, 100)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the %s's end was not cut: %v", name, err)
		}
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	p, c, _ := through(t)
	p.Delay(moment)
	began := time.Now()
	if err := say(c, time.Minute); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*moment {
		t.Errorf("there and back took %s", took)
	}
	p.Delay(0)
}

func TestHalfOpen(t *testing.T) {
	t.Parallel()
	for _, gone := range []End{Server, Client} {
		p, c, server := through(t)
		left, closed := c, server
		if gone == Client {
			left, closed = server, c
		}
		p.HalfOpen(gone)
		if err := closed.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := closed.Read(make([]byte, 100)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("end %d: the end that is gone does not know: %v", gone, err)
		}
		if err := say(left, moment); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("end %d: the end that is left knows: %v", gone, err)
		}
		p.CutAll()
		if err := left.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := left.Read(make([]byte, 100)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("end %d: it was not cut: %v", gone, err)
		}
	}
}
