// cluster-helper does the few things that the cluster scripts would otherwise
// need openssl, curl and jq for. Only the standard library is used.
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const usage = `usage:
  cluster-helper certs DIR          write ca, server certificate and service account keys
  cluster-helper ports N            print N free ports of 127.0.0.1, one per line
  cluster-helper api METHOD PATH    ask the API server; a body is read from stdin for
                                    POST, PUT and PATCH (a merge patch)
  cluster-helper field PATH         print one field of the JSON on stdin, for example
                                    items.0.status.phase; nothing if it is not there

api reads PODFIT_CLUSTER_SERVER, PODFIT_CLUSTER_CA and PODFIT_CLUSTER_TOKEN; its
exit code is 4 if there is no such object.
`

var errNotFound = errors.New("404 Not Found")

func main() {
	args := os.Args[1:]
	var err error
	switch {
	case len(args) == 2 && args[0] == "certs":
		err = writeCerts(args[1])
	case len(args) == 2 && args[0] == "ports":
		err = printFreePorts(args[1])
	case len(args) == 3 && args[0] == "api":
		err = callAPI(args[1], args[2])
	case len(args) == 2 && args[0] == "field":
		err = printField(args[1])
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster-helper:", err)
		if errors.Is(err, errNotFound) {
			os.Exit(4)
		}
		os.Exit(1)
	}
}

func writeCerts(dir string) error {
	caKey, err := newKey()
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "podfit test cluster CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}

	serverKey, err := newKey()
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "kube-apiserver"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)},
	}
	serverDER, err := x509.CreateCertificate(rand.Reader, server, ca, serverKey.Public(), caKey)
	if err != nil {
		return err
	}

	// With this one the API server asks a real kubelet for metrics and logs.
	kubeletKey, err := newKey()
	if err != nil {
		return err
	}
	kubeletClient := &x509.Certificate{
		SerialNumber: big.NewInt(3),
		Subject:      pkix.Name{CommonName: "kube-apiserver", Organization: []string{"system:masters"}},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	kubeletClientDER, err := x509.CreateCertificate(rand.Reader, kubeletClient, ca, kubeletKey.Public(), caKey)
	if err != nil {
		return err
	}

	accountKey, err := newKey()
	if err != nil {
		return err
	}
	accountPub, err := x509.MarshalPKIXPublicKey(accountKey.Public())
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(dir, "ca.crt", "CERTIFICATE", caDER),
		writePEM(dir, "server.crt", "CERTIFICATE", serverDER),
		writeKey(dir, "server.key", serverKey),
		writePEM(dir, "kubelet-client.crt", "CERTIFICATE", kubeletClientDER),
		writeKey(dir, "kubelet-client.key", kubeletKey),
		writeKey(dir, "service-account.key", accountKey),
		writePEM(dir, "service-account.pub", "PUBLIC KEY", accountPub),
	)
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func writeKey(dir, name string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(dir, name, "PRIVATE KEY", der)
}

func writePEM(dir, name, kind string, der []byte) error {
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return os.WriteFile(filepath.Join(dir, name), block, 0o600)
}

// printFreePorts holds all listeners open until every port is known, so that
// the ports differ. They are taken below the range that Linux hands out to
// outgoing connections, so that no client takes one before its server starts.
func printFreePorts(count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	const lowest, size = 20000, 12000
	found := 0
	for tries := 0; found < n; tries++ {
		if tries > 50*(n+1) {
			return errors.New("no free ports on 127.0.0.1")
		}
		offset, err := rand.Int(rand.Reader, big.NewInt(size))
		if err != nil {
			return err
		}
		port := lowest + int(offset.Int64())
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer listener.Close()
		fmt.Println(port)
		found++
	}
	return nil
}

func callAPI(method, path string) error {
	caPEM, err := os.ReadFile(os.Getenv("PODFIT_CLUSTER_CA"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(caPEM) {
		return errors.New("PODFIT_CLUSTER_CA holds no certificate")
	}
	var body io.Reader
	contentType := "application/json"
	switch method {
	case http.MethodPatch:
		contentType = "application/merge-patch+json"
		fallthrough
	case http.MethodPost, http.MethodPut:
		data, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	request, err := http.NewRequest(method, os.Getenv("PODFIT_CLUSTER_SERVER")+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("PODFIT_CLUSTER_TOKEN"))
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", "application/json")

	client := &http.Client{
		Timeout: 30 * time.Second,
		// No proxy: the server is on this machine.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%s %s: %w", method, path, errNotFound)
	}
	if response.StatusCode >= 400 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(data))
	}
	_, err = os.Stdout.Write(data)
	return err
}

func printField(path string) error {
	decoder := json.NewDecoder(os.Stdin)
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	for _, key := range strings.Split(path, ".") {
		switch node := value.(type) {
		case map[string]any:
			value = node[key]
		case []any:
			index, err := strconv.Atoi(key)
			if err != nil || index < 0 || index >= len(node) {
				return nil
			}
			value = node[index]
		default:
			return nil
		}
	}
	switch leaf := value.(type) {
	case nil:
		return nil
	case string:
		fmt.Println(leaf)
		return nil
	default:
		return json.NewEncoder(os.Stdout).Encode(leaf)
	}
}
