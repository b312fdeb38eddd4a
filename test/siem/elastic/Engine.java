// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.Node;
import org.opensearch.painless.PainlessPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.transport.Netty4Plugin;

/** Runs one OpenSearch node in this process until it is killed: Engine FOLDER PORT. It listens on this machine only. */
public class Engine {
  private static class Local extends Node {
    Local(Environment environment, Collection<Class<? extends Plugin>> plugins) {
      super(environment, plugins, false);
    }
  }

  public static void main(String[] args) throws Exception {
    Path home = Path.of(args[0]).toAbsolutePath();
    Settings settings = Settings.builder()
        .put("path.home", home.toString())
        .put("cluster.name", "siem-check")
        .put("node.name", "siem-check")
        .put("discovery.type", "single-node")
        .put("network.host", "127.0.0.1")
        .put("http.type", "netty4")
        .put("transport.type", "netty4")
        .put("http.port", args[1])
        .put("transport.port", "0")
        .put("cluster.routing.allocation.disk.threshold_enabled", false)
        .build();
    Node node = new Local(new Environment(settings, home), List.of(Netty4Plugin.class, PainlessPlugin.class));
    node.start();
    Thread.currentThread().join();
  }
}
